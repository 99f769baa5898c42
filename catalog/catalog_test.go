package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/catalog/sqlite"
	"github.com/lambent-run/lambent/lambda"
)

var (
	home = lambda.Scope{Account: "111111111111", Region: "us-east-1"}
	fn   = lambda.FunctionID{Account: home.Account, Region: home.Region, Name: "fn"}
)

// open opens the catalog of a directory; shut closes it.
func open(t *testing.T, dir string) (c *catalog.Catalog, shut func()) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = catalog.Open(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return c, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// create puts a function with a version and an alias.
func create(t *testing.T, c *catalog.Catalog) {
	t.Helper()
	update(t, c, func(tx *catalog.Tx) {
		tx.PutFunction(&lambda.Function{ID: fn})
		tx.PutVersion(&lambda.Version{ID: fn, Number: lambda.Latest})
		tx.PutVersion(&lambda.Version{ID: fn, Number: "1"})
		tx.PutAlias(&lambda.Alias{ID: fn, Name: "live", Version: "1"})
	})
}

func update(t *testing.T, c *catalog.Catalog, change func(*catalog.Tx)) {
	t.Helper()
	err := c.Update(t.Context(), fn, func(tx *catalog.Tx) error { change(tx); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// Settings are durable, and go with the version or alias they are of.
func TestSettingsGoWithTheirQualifier(t *testing.T) {
	dir := t.TempDir()
	c, shut := open(t, dir)
	create(t, c)
	update(t, c, func(tx *catalog.Tx) {
		tx.PutSettings(lambda.Latest, &lambda.Settings{URL: &lambda.URL{ID: "u1"}})
		tx.PutSettings("1", &lambda.Settings{Provisioned: &lambda.Provisioned{Requested: 2}})
		tx.PutSettings("live", &lambda.Settings{URL: &lambda.URL{ID: "u2"}})
	})
	shut()
	c, shut = open(t, dir)
	if n := c.Get(fn).Of("1").Provisioned.Requested; n != 2 {
		t.Errorf("version 1 has %d provisioned after reopening, want 2", n)
	}
	update(t, c, func(tx *catalog.Tx) {
		tx.DeleteAlias("live")
		tx.DeleteVersion("1")
	})
	shut()
	c, shut = open(t, dir)
	defer shut()
	if got := len(c.Get(fn).Settings); got != 1 {
		t.Errorf("%d settings are left, want those of $LATEST", got)
	}
	update(t, c, func(tx *catalog.Tx) { tx.PutSettings(lambda.Latest, new(lambda.Settings)) })
	if got := len(c.Get(fn).Settings); got != 0 {
		t.Errorf("%d settings are left, want none: empty ones are not kept", got)
	}
}

// A function URL is found by its id for as long as it exists, also after a restart.
func TestURLIsFoundByItsID(t *testing.T) {
	dir := t.TempDir()
	c, shut := open(t, dir)
	create(t, c)
	update(t, c, func(tx *catalog.Tx) { tx.PutSettings("live", &lambda.Settings{URL: &lambda.URL{ID: "u1"}}) })
	shut()
	c, shut = open(t, dir)
	defer shut()
	if of, q, u, ok := c.URL("u1"); !ok || of != fn || q != "live" || u.ID != "u1" {
		t.Errorf("URL u1 is of %v %q (%v)", of, q, ok)
	}
	update(t, c, func(tx *catalog.Tx) { tx.PutSettings("live", &lambda.Settings{URL: &lambda.URL{ID: "u2"}}) })
	if _, _, _, ok := c.URL("u1"); ok {
		t.Error("URL u1 is found after it was replaced")
	}
	update(t, c, func(tx *catalog.Tx) { tx.DeleteFunction() })
	if _, _, _, ok := c.URL("u2"); ok {
		t.Error("URL u2 is found after its function was deleted")
	}
}

// A collection keeps what it was given, lists it by pages whose cost is theirs,
// and lets updates of one resource take turns.
func TestCollection(t *testing.T) {
	dir := t.TempDir()
	c, shut := open(t, dir)
	id := func(name string) lambda.ResourceID {
		return lambda.ResourceID{Account: home.Account, Region: home.Region, Name: name}
	}
	put := func(name, description string) {
		t.Helper()
		err := c.CodeSigning.Update(t.Context(), id(name), func(*lambda.CodeSigning) (*lambda.CodeSigning, error) {
			return &lambda.CodeSigning{ID: id(name), Description: description}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		put(fmt.Sprint("csc-", i), "")
	}
	refused := errors.New("no")
	if err := c.CodeSigning.Update(t.Context(), id("csc-0"), func(*lambda.CodeSigning) (*lambda.CodeSigning, error) {
		return nil, refused
	}); !errors.Is(err, refused) {
		t.Errorf("an update that fails answers %v", err)
	}
	if err := c.CodeSigning.Update(t.Context(), id("csc-3"), func(*lambda.CodeSigning) (*lambda.CodeSigning, error) {
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			err := c.CodeSigning.Update(context.Background(), id("csc-1"), func(was *lambda.CodeSigning) (*lambda.CodeSigning, error) {
				now := *was
				now.Description += "x"
				return &now, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	shut()
	c, shut = open(t, dir)
	defer shut()
	if got := c.CodeSigning.Get(id("csc-1")).Description; len(got) != 20 {
		t.Errorf("20 updates at once left %d marks", len(got))
	}
	var names []string
	for next := ""; ; {
		var page []*lambda.CodeSigning
		page, next = c.CodeSigning.List(home, next, 3)
		for _, r := range page {
			names = append(names, r.ID.Name)
		}
		if next == "" {
			break
		}
	}
	if got := fmt.Sprint(names); got != "[csc-0 csc-1 csc-2 csc-4]" {
		t.Errorf("the pages list %s", got)
	}
}
