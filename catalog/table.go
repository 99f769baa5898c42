package catalog

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lambent-run/lambent/lambda"
)

// table holds the entries of one kind of resource: reads are of one entry and
// take no lock that all share, writers of one entry take turns, and names are
// kept in order so that a list costs what its page does.
type table[E any] struct {
	seed   maphash.Seed
	shards [64]shard[E]

	mu     sync.RWMutex // guards scopes
	scopes map[lambda.Scope]*names
}

// shard holds the slots of some entries. mu guards slots and their refs.
type shard[E any] struct {
	mu    sync.RWMutex
	slots map[lambda.ResourceID]*slot[E]
}

// slot is one entry's place. Readers load entry; writers take turns.
type slot[E any] struct {
	entry atomic.Pointer[E]
	turn  chan struct{} // holds one token: who has it may change the entry
	refs  int           // writers that hold or wait for turn
}

// names are those of one scope, in order. mu guards sorted.
type names struct {
	mu     sync.RWMutex
	sorted []string
}

func newTable[E any]() *table[E] {
	t := &table[E]{seed: maphash.MakeSeed(), scopes: map[lambda.Scope]*names{}}
	for i := range t.shards {
		t.shards[i].slots = map[lambda.ResourceID]*slot[E]{}
	}
	return t
}

func newSlot[E any](e *E) *slot[E] {
	s := &slot[E]{turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	s.entry.Store(e)
	return s
}

// load adds an entry while the table is filled, in any order; loaded must follow.
func (t *table[E]) load(id lambda.ResourceID, e *E) {
	t.shard(id).slots[id] = newSlot(e)
	n := t.names(id.Scope())
	n.sorted = append(n.sorted, id.Name)
}

func (t *table[E]) loaded() {
	for _, n := range t.scopes {
		slices.Sort(n.sorted)
	}
}

func (t *table[E]) shard(id lambda.ResourceID) *shard[E] {
	return &t.shards[maphash.String(t.seed, id.Name)%uint64(len(t.shards))]
}

func (t *table[E]) names(at lambda.Scope) *names {
	t.mu.RLock()
	n := t.scopes[at]
	t.mu.RUnlock()
	if n != nil {
		return n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n = t.scopes[at]; n == nil {
		n = new(names)
		t.scopes[at] = n
	}
	return n
}

// get returns an entry, or nil.
func (t *table[E]) get(id lambda.ResourceID) *E {
	s := t.shard(id)
	s.mu.RLock()
	sl := s.slots[id]
	s.mu.RUnlock()
	if sl == nil {
		return nil
	}
	return sl.entry.Load()
}

// update gives change the entry as it is, nil if there is none, and commits what
// it returns: the entry as it will be, nil to delete it, and the records to
// write. Without records nothing changes. ctx bounds the wait for the turn, not
// the work.
func (t *table[E]) update(ctx context.Context, store Store, id lambda.ResourceID,
	change func(before *E) (after *E, ops map[string][]byte, err error)) (before, after *E, err error) {
	sh := t.shard(id)
	sh.mu.Lock()
	sl := sh.slots[id]
	if sl == nil {
		sl = newSlot[E](nil)
		sh.slots[id] = sl
	}
	sl.refs++
	sh.mu.Unlock()
	defer func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if sl.refs--; sl.refs == 0 && sl.entry.Load() == nil {
			delete(sh.slots, id)
		}
	}()
	select {
	case <-sl.turn:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	defer func() { sl.turn <- struct{}{} }()

	before = sl.entry.Load()
	after, records, err := change(before)
	if err != nil || len(records) == 0 {
		return before, before, err
	}
	ops := make([]Op, 0, len(records))
	for _, key := range slices.Sorted(maps.Keys(records)) {
		ops = append(ops, Op{key, records[key]})
	}
	// Once begun, a commit is not abandoned: whether it took place must be known.
	if err := store.Commit(context.WithoutCancel(ctx), ops); err != nil {
		return before, before, fmt.Errorf("commit %s: %w", id.Name, err)
	}
	sl.entry.Store(after)
	if (before == nil) != (after == nil) {
		t.names(id.Scope()).set(id.Name, after != nil)
	}
	return before, after, nil
}

func (n *names) set(name string, present bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, found := slices.BinarySearch(n.sorted, name)
	switch {
	case present && !found:
		n.sorted = slices.Insert(n.sorted, i, name)
	case !present && found:
		n.sorted = slices.Delete(n.sorted, i, i+1)
	}
}

// list returns the entries of a scope in name order, those after the name
// `after`, at most max of them, and the name after which the next page begins,
// or "" if nothing follows.
func (t *table[E]) list(at lambda.Scope, after string, max int) (page []*E, next string) {
	n := t.names(at)
	n.mu.RLock()
	i, found := slices.BinarySearch(n.sorted, after)
	if found {
		i++
	}
	rest := n.sorted[i:]
	if len(rest) > max {
		rest = rest[:max]
		next = rest[max-1]
	}
	rest = slices.Clone(rest)
	n.mu.RUnlock()
	for _, name := range rest {
		if e := t.get(lambda.ResourceID{Account: at.Account, Region: at.Region, Name: name}); e != nil {
			page = append(page, e)
		}
	}
	return page, next
}

func (t *table[E]) count(at lambda.Scope) int {
	n := t.names(at)
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.sorted)
}

// all yields every entry, in no order. Entries that come or go meanwhile may or
// may not be among them.
func (t *table[E]) all(yield func(*E) bool) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		slots := slices.Collect(maps.Values(s.slots))
		s.mu.RUnlock()
		for _, sl := range slots {
			if e := sl.entry.Load(); e != nil && !yield(e) {
				return
			}
		}
	}
}
