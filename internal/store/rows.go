package store

// Scanner is a row that can be read: one of *sql.Rows, or a *sql.Row.
type Scanner interface{ Scan(dest ...any) error }

// List reads all that a query finds, in its order; nil when that is nothing.
func List[T any](tx Tx, scan func(Scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// Column is List for a query of one column.
func Column[T any](tx Tx, query string, args ...any) ([]T, error) {
	return List(tx, func(row Scanner) (value T, err error) {
		err = row.Scan(&value)
		return value, err
	}, query, args...)
}
