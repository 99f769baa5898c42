// Package catalogtest is the conformance suite of catalog.Store: what every
// implementation promises, as tests.
package catalogtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/lambent-run/lambent/catalog"
)

// Run runs the suite. Open opens the store of a directory, which may hold one
// from before; the suite closes it.
func Run(t *testing.T, open func(t *testing.T, dir string) catalog.Store) {
	t.Run("what was committed is there after reopening", func(t *testing.T) { reopen(t, open) })
	t.Run("records come in key order and by prefix", func(t *testing.T) { order(t, open) })
	t.Run("concurrent commits are each all or nothing", func(t *testing.T) { concurrent(t, open) })
	t.Run("a random history reads as a map would", func(t *testing.T) { history(t, open) })
	t.Run("a key that cannot be stored changes nothing", func(t *testing.T) { badKey(t, open) })
	t.Run("a closed store refuses", func(t *testing.T) { closed(t, open) })
}

// Records reads a whole store.
func Records(t *testing.T, s catalog.Store, prefix string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := s.Load(context.Background(), prefix, func(key string, value []byte) error {
		got[key] = string(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func commit(t *testing.T, s catalog.Store, ops ...catalog.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
}

func shut(t *testing.T, s catalog.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func put(key, value string) catalog.Op { return catalog.Op{Key: key, Value: []byte(value)} }

func reopen(t *testing.T, open func(*testing.T, string) catalog.Store) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, put("a", "1"), put("b", "2"), put("empty", ""))
	commit(t, s, put("a", "3"), catalog.Op{Key: "b"}, catalog.Op{Key: "never"})
	shut(t, s)
	s = open(t, dir)
	defer shut(t, s)
	if got := Records(t, s, ""); !maps.Equal(got, map[string]string{"a": "3", "empty": ""}) {
		t.Errorf("found %v", got)
	}
}

func order(t *testing.T, open func(*testing.T, string) catalog.Store) {
	s := open(t, t.TempDir())
	defer shut(t, s)
	commit(t, s, put("f/b/2", ""), put("f/a", ""), put("g", ""), put("f/b/1", ""), put("e", ""))
	var keys []string
	err := s.Load(t.Context(), "f/", func(key string, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil || fmt.Sprint(keys) != "[f/a f/b/1 f/b/2]" {
		t.Errorf("got %v, %v", keys, err)
	}
}

func concurrent(t *testing.T, open func(*testing.T, string) catalog.Store) {
	dir := t.TempDir()
	s := open(t, dir)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("%02d/%02d", w, i)
				if err := s.Commit(context.Background(), []catalog.Op{put(key+"/x", key), put(key+"/y", key)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	shut(t, s)
	s = open(t, dir)
	defer shut(t, s)
	if got := len(Records(t, s, "")); got != 16*25*2 {
		t.Errorf("%d records", got)
	}
}

func history(t *testing.T, open func(*testing.T, string) catalog.Store) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	s := open(t, dir)
	want := map[string]string{}
	for range 300 {
		var ops []catalog.Op
		for range 1 + rng.IntN(4) {
			key := fmt.Sprintf("k%d", rng.IntN(40))
			if rng.IntN(3) == 0 {
				ops = append(ops, catalog.Op{Key: key})
				delete(want, key)
			} else {
				value := fmt.Sprint(rng.Uint64())
				ops = append(ops, put(key, value))
				want[key] = value
			}
		}
		commit(t, s, ops...)
		if rng.IntN(50) == 0 {
			shut(t, s)
			s = open(t, dir)
		}
	}
	defer func() { shut(t, s) }()
	if got := Records(t, s, ""); !maps.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func badKey(t *testing.T, open func(*testing.T, string) catalog.Store) {
	s := open(t, t.TempDir())
	defer shut(t, s)
	if err := s.Commit(t.Context(), []catalog.Op{put("good", ""), put("", "")}); err == nil {
		t.Error("an empty key was accepted")
	}
	if got := Records(t, s, ""); len(got) != 0 {
		t.Errorf("part of a refused commit is there: %v", got)
	}
}

func closed(t *testing.T, open func(*testing.T, string) catalog.Store) {
	s := open(t, t.TempDir())
	shut(t, s)
	if err := s.Commit(context.Background(), []catalog.Op{put("a", "")}); err == nil {
		t.Error("a closed store accepted a commit")
	}
}
