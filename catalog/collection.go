package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/lambent-run/lambent/lambda"
)

// Collection holds the resources of one kind that are not functions, one record
// each. Values are immutable: change a copy.
type Collection[R any] struct {
	store Store
	kind  string
	table *table[R]
}

func newCollection[R any](store Store, kind string) *Collection[R] {
	return &Collection[R]{store, kind, newTable[R]()}
}

// key: kind, account, region and name, none of which can contain a slash.
func (c *Collection[R]) key(id lambda.ResourceID) string {
	return c.kind + "/" + id.Account + "/" + id.Region + "/" + id.Name
}

func (c *Collection[R]) load(ctx context.Context) error {
	err := c.store.Load(ctx, c.kind+"/", func(key string, value []byte) error {
		parts := strings.Split(key, "/")
		if len(parts) != 4 {
			return fmt.Errorf("record %s: the key has no known form", key)
		}
		r := new(R)
		if err := decode(value, r); err != nil {
			return fmt.Errorf("record %s: %w", key, err)
		}
		c.table.load(lambda.ResourceID{Account: parts[1], Region: parts[2], Name: parts[3]}, r)
		return nil
	})
	c.table.loaded()
	return err
}

// Get returns a resource, or nil if there is none.
func (c *Collection[R]) Get(id lambda.ResourceID) *R { return c.table.get(id) }

// Update gives change the resource as it is, nil if there is none, and makes
// what it returns durable and then visible; nil deletes. To return what was
// given changes nothing. Updates of one resource take turns, whatever change
// does meanwhile; ctx bounds the wait for the turn. An error of change ends it
// and is returned as it is.
func (c *Collection[R]) Update(ctx context.Context, id lambda.ResourceID, change func(before *R) (after *R, err error)) error {
	_, _, err := c.table.update(ctx, c.store, id, func(before *R) (*R, map[string][]byte, error) {
		after, err := change(before)
		if err != nil || after == before {
			return before, nil, err
		}
		if after == nil {
			return nil, map[string][]byte{c.key(id): nil}, nil
		}
		value, err := encode(after)
		if err != nil {
			return nil, nil, fmt.Errorf("record %s: %w", c.key(id), err)
		}
		return after, map[string][]byte{c.key(id): value}, nil
	})
	return err
}

// List returns the resources of a scope in name order, as Catalog.List does.
func (c *Collection[R]) List(at lambda.Scope, after string, max int) (page []*R, next string) {
	return c.table.list(at, after, max)
}

// All yields every resource, in no order.
func (c *Collection[R]) All(yield func(*R) bool) { c.table.all(yield) }
