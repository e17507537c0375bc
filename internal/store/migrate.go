package store

import (
	"context"
	"fmt"
)

// vigil_migration has a row for each step that a component's tables have been through.
const migrationTable = `CREATE TABLE IF NOT EXISTS vigil_migration (
	component TEXT NOT NULL,
	step      BIGINT NOT NULL,
	PRIMARY KEY (component, step))`

// Migrate implements DB.
func (d *database) Migrate(ctx context.Context, component string, steps ...string) error {
	translated := make([][]string, len(steps))
	for i, step := range steps {
		var err error
		if translated[i], err = translate(step, d.engine.Dialect()); err != nil {
			return fmt.Errorf("migration %s %d: %w", component, i+1, err)
		}
	}
	done, err := d.stepsDone(ctx, component)
	if err != nil {
		return fmt.Errorf("migration %s: %w", component, err)
	}
	if done > len(steps) {
		return fmt.Errorf("migration %s: the database is at step %d and this version of Vigil knows %d; it was written by a newer one",
			component, done, len(steps))
	}
	for i := done; i < len(steps); i++ {
		if err := d.runStep(ctx, component, i+1, translated[i]); err != nil {
			return fmt.Errorf("migration %s %d: %w", component, i+1, err)
		}
	}
	return nil
}

// stepsDone is how many of a component's steps the database has been through.
func (d *database) stepsDone(ctx context.Context, component string) (done int, err error) {
	table, err := translate(migrationTable, d.engine.Dialect())
	if err != nil {
		return 0, err
	}
	err = d.Update(ctx, func(tx Tx) error {
		if _, err := tx.Exec(table[0]); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT COALESCE(MAX(step), 0) FROM vigil_migration WHERE component = $1`, component).Scan(&done)
	})
	return done, err
}

// runStep runs a step, unless another Migrate of the component has done so since stepsDone looked.
func (d *database) runStep(ctx context.Context, component string, step int, statements []string) error {
	return d.Update(ctx, func(tx Tx) error {
		first, err := tx.Exec(`INSERT INTO vigil_migration (component, step) VALUES ($1, $2) ON CONFLICT (component, step) DO NOTHING`, component, step)
		if err != nil || first == 0 {
			return err
		}
		for _, statement := range statements {
			if _, err := tx.Exec(statement); err != nil {
				return err
			}
		}
		return nil
	})
}
