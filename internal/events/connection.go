package events

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/uuid"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

// namedRef is where something is that has a name in its account and region: a connection, an API destination.
type namedRef struct{ account, region, name string }

// connection is a connection as it was committed. It is not changed.
type connection struct {
	ref           namedRef
	id            string // the last part of its ARN
	description   string
	authorization types.ConnectionAuthorizationType
	shown         types.ConnectionAuthResponseParameters // without the secrets
	sealed        []byte                                 // all parameters, wrapped; empty when it is not authorized
	version       int64                                  // counts its changes

	created, modified, authorized time.Time
}

func (c *connection) arn() arn.ARN {
	return arn.New("events", c.ref.region, c.ref.account, "connection/"+c.ref.name+"/"+c.id)
}

// state is AUTHORIZED from the moment that there are credentials. Whether an authorization endpoint takes them is found out by the first
// delivery, which says so itself.
func (c *connection) state() types.ConnectionState {
	if len(c.sealed) == 0 {
		return types.ConnectionStateDeauthorized
	}
	return types.ConnectionStateAuthorized
}

// CreateConnection makes a connection: what deliveries to API destinations are authorized by. Its secrets are stored encrypted, and never
// given back.
func (e *Events) CreateConnection(ctx context.Context, c *call.Call, in *eventbridge.CreateConnectionInput) (*eventbridge.CreateConnectionOutput, error) {
	now := time.UnixMilli(c.Time.UnixMilli())
	one := &connection{ref: namedRef{c.Account(), c.Region, *in.Name}, id: uuid.NewString(), description: text(in.Description),
		authorization: in.AuthorizationType, version: 1, created: now, modified: now, authorized: now}
	if err := allow(c, "events:CreateConnection", one.arn()); err != nil {
		return nil, err
	}
	switch {
	case in.KmsKeyIdentifier != nil:
		return nil, call.NotBuilt("KmsKeyIdentifier of a connection")
	case in.InvocationConnectivityParameters != nil || in.AuthParameters.ConnectivityParameters != nil:
		return nil, call.NotBuilt("A connection to a private endpoint")
	}
	if err := e.seal(one, in.AuthParameters); err != nil {
		return nil, err
	}
	exists := call.Errorf("ResourceAlreadyExistsException", "Connection %s already exists.", one.ref.name)
	if e.known.connection(one.ref) != nil {
		return nil, exists
	}
	c.Effect(func(tx store.Tx) error {
		if err := e.roomFor(tx, "events_connection", one.ref); err != nil {
			return err
		}
		shown, err := json.Marshal(one.shown)
		if err != nil {
			return err
		}
		made, err := tx.Exec(`INSERT INTO events_connection (account, region, name, id, description, authorization_type, shown, sealed, version,
			created, modified, authorized) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10) ON CONFLICT DO NOTHING`,
			one.ref.account, one.ref.region, one.ref.name, one.id, one.description, string(one.authorization), string(shown), one.sealed,
			one.version, now.UnixMilli())
		if err != nil {
			return err
		}
		if made == 0 {
			return exists
		}
		tx.OnCommit(func() { e.known.putConnection(one) })
		return nil
	})
	return &eventbridge.CreateConnectionOutput{ConnectionArn: new(one.arn().String()), ConnectionState: one.state(),
		CreationTime: &one.created, LastModifiedTime: &one.modified}, nil
}

// UpdateConnection changes what it is given of a connection. A connection that changes its type of authorization needs all parameters of
// the new one.
func (e *Events) UpdateConnection(ctx context.Context, c *call.Call, in *eventbridge.UpdateConnectionInput) (*eventbridge.UpdateConnectionOutput, error) {
	old, err := e.ownConnection(c, "events:UpdateConnection", in.Name)
	if err != nil {
		return nil, err
	}
	switch {
	case in.KmsKeyIdentifier != nil:
		return nil, call.NotBuilt("KmsKeyIdentifier of a connection")
	case in.InvocationConnectivityParameters != nil || in.AuthParameters != nil && in.AuthParameters.ConnectivityParameters != nil:
		return nil, call.NotBuilt("A connection to a private endpoint")
	}
	one := *old
	one.version, one.modified = old.version+1, time.UnixMilli(c.Time.UnixMilli())
	if in.Description != nil {
		one.description = *in.Description
	}
	if in.AuthParameters != nil || in.AuthorizationType != "" {
		parameters, err := e.unseal(old)
		if err != nil {
			return nil, err
		}
		if in.AuthorizationType != "" && in.AuthorizationType != old.authorization {
			one.authorization = in.AuthorizationType
			parameters = &types.CreateConnectionAuthRequestParameters{InvocationHttpParameters: parameters.InvocationHttpParameters}
		}
		merge(parameters, in.AuthParameters)
		if err := e.seal(&one, parameters); err != nil {
			return nil, err
		}
		one.authorized = one.modified
	}
	c.Effect(func(tx store.Tx) error { return e.updateConnection(tx, old, &one) })
	return &eventbridge.UpdateConnectionOutput{ConnectionArn: new(one.arn().String()), ConnectionState: one.state(),
		CreationTime: &one.created, LastModifiedTime: &one.modified, LastAuthorizedTime: &one.authorized}, nil
}

// DeauthorizeConnection forgets a connection's secrets and parameters. What is delivered by it until it is given others becomes a dead letter.
func (e *Events) DeauthorizeConnection(ctx context.Context, c *call.Call, in *eventbridge.DeauthorizeConnectionInput) (*eventbridge.DeauthorizeConnectionOutput, error) {
	old, err := e.ownConnection(c, "events:DeauthorizeConnection", in.Name)
	if err != nil {
		return nil, err
	}
	one := *old
	one.version, one.modified = old.version+1, time.UnixMilli(c.Time.UnixMilli())
	one.sealed, one.shown = []byte{}, types.ConnectionAuthResponseParameters{}
	c.Effect(func(tx store.Tx) error { return e.updateConnection(tx, old, &one) })
	return &eventbridge.DeauthorizeConnectionOutput{ConnectionArn: new(one.arn().String()), ConnectionState: one.state(),
		CreationTime: &one.created, LastModifiedTime: &one.modified, LastAuthorizedTime: &one.authorized}, nil
}

// updateConnection puts one in the place of old, unless another call did so meanwhile.
func (e *Events) updateConnection(tx store.Tx, old, one *connection) error {
	shown, err := json.Marshal(one.shown)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE events_connection SET description = $5, authorization_type = $6, shown = $7, sealed = $8, version = $9,
		modified = $10, authorized = $11 WHERE account = $1 AND region = $2 AND id = $3 AND version = $4`,
		old.ref.account, old.ref.region, old.id, old.version, one.description, string(one.authorization), string(shown), one.sealed, one.version,
		one.modified.UnixMilli(), one.authorized.UnixMilli())
	if err != nil {
		return err
	}
	if n == 0 {
		return call.Errorf("ConcurrentModificationException", "Connection %s has been modified concurrently.", old.ref.name)
	}
	tx.OnCommit(func() { e.known.putConnection(one) })
	return nil
}

// DescribeConnection tells of a connection, but for its secrets.
func (e *Events) DescribeConnection(ctx context.Context, c *call.Call, in *eventbridge.DescribeConnectionInput) (*eventbridge.DescribeConnectionOutput, error) {
	one, err := e.ownConnection(c, "events:DescribeConnection", in.Name)
	if err != nil {
		return nil, err
	}
	return &eventbridge.DescribeConnectionOutput{
		Name: &one.ref.name, ConnectionArn: new(one.arn().String()), Description: given(one.description), ConnectionState: one.state(),
		AuthorizationType: one.authorization, AuthParameters: &one.shown,
		CreationTime: &one.created, LastModifiedTime: &one.modified, LastAuthorizedTime: &one.authorized,
	}, nil
}

// ListConnections lists connections by name, 100 at a time unless the caller says fewer.
func (e *Events) ListConnections(ctx context.Context, c *call.Call, in *eventbridge.ListConnectionsInput) (*eventbridge.ListConnectionsOutput, error) {
	if err := allow(c, "events:ListConnections", c.ARN("connection/*")); err != nil {
		return nil, err
	}
	all := e.known.connectionsOf(c.Account(), c.Region, func(one *connection) bool {
		return in.ConnectionState == "" || one.state() == in.ConnectionState
	})
	part, next, err := page(all, func(one *connection) string { return one.ref.name }, in.NamePrefix, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.ListConnectionsOutput{Connections: []types.Connection{}, NextToken: next}
	for _, one := range part {
		out.Connections = append(out.Connections, types.Connection{
			Name: &one.ref.name, ConnectionArn: new(one.arn().String()), ConnectionState: one.state(), AuthorizationType: one.authorization,
			CreationTime: &one.created, LastModifiedTime: &one.modified, LastAuthorizedTime: &one.authorized,
		})
	}
	return out, nil
}

// DeleteConnection removes a connection. API destinations that use it become inactive.
func (e *Events) DeleteConnection(ctx context.Context, c *call.Call, in *eventbridge.DeleteConnectionInput) (*eventbridge.DeleteConnectionOutput, error) {
	one, err := e.ownConnection(c, "events:DeleteConnection", in.Name)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		n, err := tx.Exec(`DELETE FROM events_connection WHERE account = $1 AND region = $2 AND id = $3`, one.ref.account, one.ref.region, one.id)
		if err != nil {
			return err
		}
		if n == 0 {
			return noConnection(one.ref.name)
		}
		tx.OnCommit(func() { e.known.removeConnection(one.ref) })
		return nil
	})
	return &eventbridge.DeleteConnectionOutput{ConnectionArn: new(one.arn().String()), ConnectionState: types.ConnectionStateDeleting,
		CreationTime: &one.created, LastModifiedTime: &one.modified, LastAuthorizedTime: &one.authorized}, nil
}

// ownConnection is the connection that a caller names, if the caller may do that with it.
func (e *Events) ownConnection(c *call.Call, action string, name *string) (*connection, error) {
	one := e.known.connection(namedRef{c.Account(), c.Region, *name})
	if one == nil {
		if err := allow(c, action, c.ARN("connection/"+*name)); err != nil {
			return nil, err
		}
		return nil, noConnection(*name)
	}
	return one, allow(c, action, one.arn())
}

func noConnection(name string) error {
	return call.Errorf("ResourceNotFoundException", "Failed to describe the connection(s). Connection '%s' does not exist.", name)
}
