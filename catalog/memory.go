package catalog

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/lambent-run/lambent/lambda"
)

// Catalog is the record, in memory and on a Store. Make one with Open.
type Catalog struct {
	store  Store
	seed   maphash.Seed
	shards [64]shard

	mu       sync.RWMutex // guards what follows
	scopes   map[lambda.Scope]*names
	watchers map[*Watch]struct{}
}

// shard holds the slots of some functions. mu guards slots and their refs.
type shard struct {
	mu    sync.RWMutex
	slots map[lambda.FunctionID]*slot
}

// slot is one function's place. Readers load entry; writers take turns.
type slot struct {
	entry atomic.Pointer[Entry]
	turn  chan struct{} // holds one token: who has it may change the function
	refs  int           // writers that hold or wait for turn
}

// names are the functions of one scope, in name order. mu guards sorted.
type names struct {
	mu     sync.RWMutex
	sorted []string
}

// Open loads every record of the store. A record that is damaged refuses to
// load: the error names its key.
func Open(ctx context.Context, store Store) (*Catalog, error) {
	c := &Catalog{store: store, seed: maphash.MakeSeed(), scopes: map[lambda.Scope]*names{}, watchers: map[*Watch]struct{}{}}
	for i := range c.shards {
		c.shards[i].slots = map[lambda.FunctionID]*slot{}
	}
	var e *Entry
	var id lambda.FunctionID
	add := func() error {
		if e == nil {
			return nil
		}
		if e.Function == nil || e.Versions[lambda.Latest] == nil {
			return fmt.Errorf("the records of %s are incomplete", id.ARN())
		}
		s := c.shard(id)
		s.slots[id] = newSlot(e)
		n := c.names(id.Scope())
		n.sorted = append(n.sorted, id.Name)
		e = nil
		return nil
	}
	err := store.Load(ctx, root, func(key string, value []byte) error {
		of, kind, name, err := parseKey(key)
		if err != nil {
			return err
		}
		if of != id || e == nil {
			if err := add(); err != nil {
				return err
			}
			id, e = of, &Entry{Versions: map[string]*lambda.Version{}, Aliases: map[string]*lambda.Alias{}}
		}
		switch kind {
		case "function":
			e.Function = new(lambda.Function)
			err = decode(value, e.Function)
		case "version":
			v := new(lambda.Version)
			err = decode(value, v)
			e.Versions[name] = v
		case "alias":
			a := new(lambda.Alias)
			err = decode(value, a)
			e.Aliases[name] = a
		}
		if err != nil {
			return fmt.Errorf("record %s: %w", key, err)
		}
		return nil
	})
	if err == nil {
		err = add()
	}
	if err != nil {
		return nil, fmt.Errorf("load the catalog: %w", err)
	}
	for _, n := range c.scopes {
		slices.Sort(n.sorted)
	}
	return c, nil
}

func newSlot(e *Entry) *slot {
	s := &slot{turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	s.entry.Store(e)
	return s
}

func (c *Catalog) shard(id lambda.FunctionID) *shard {
	return &c.shards[maphash.String(c.seed, id.Name)%uint64(len(c.shards))]
}

func (c *Catalog) names(at lambda.Scope) *names {
	c.mu.RLock()
	n := c.scopes[at]
	c.mu.RUnlock()
	if n != nil {
		return n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = c.scopes[at]; n == nil {
		n = new(names)
		c.scopes[at] = n
	}
	return n
}

// Get returns what is known of a function now, or nil if there is none. It
// allocates nothing and takes no lock that all functions share.
func (c *Catalog) Get(id lambda.FunctionID) *Entry {
	s := c.shard(id)
	s.mu.RLock()
	sl := s.slots[id]
	s.mu.RUnlock()
	if sl == nil {
		return nil
	}
	return sl.entry.Load()
}

// Update runs fn with the function's present state. What fn changes through tx
// becomes durable and then visible, in one step. Updates of one function take
// turns; ctx bounds the wait for the turn, not the work. An error of fn ends it,
// is returned as it is, and nothing has changed.
func (c *Catalog) Update(ctx context.Context, id lambda.FunctionID, fn func(tx *Tx) error) error {
	sh := c.shard(id)
	sh.mu.Lock()
	sl := sh.slots[id]
	if sl == nil {
		sl = newSlot(nil)
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
		return context.Cause(ctx)
	}
	defer func() { sl.turn <- struct{}{} }()

	before := sl.entry.Load()
	tx := &Tx{id: id, entry: before, ops: map[string][]byte{}}
	if err := fn(tx); err != nil {
		return err
	}
	if tx.err != nil {
		return tx.err
	}
	if len(tx.ops) == 0 {
		return nil
	}
	ops := make([]Op, 0, len(tx.ops))
	for _, key := range slices.Sorted(maps.Keys(tx.ops)) {
		ops = append(ops, Op{key, tx.ops[key]})
	}
	// Once begun, a commit is not abandoned: whether it took place must be known.
	if err := c.store.Commit(context.WithoutCancel(ctx), ops); err != nil {
		return fmt.Errorf("commit %s: %w", id.Name, err)
	}
	sl.entry.Store(tx.entry)
	if n := c.names(id.Scope()); (before == nil) != (tx.entry == nil) {
		n.set(id.Name, tx.entry != nil)
	}
	c.mu.RLock()
	for w := range c.watchers {
		w.changed(id)
	}
	c.mu.RUnlock()
	return nil
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

// List returns the functions of a scope in name order, those after the name
// `after`, at most max of them, and whether more follow. Its cost is that of
// the page.
func (c *Catalog) List(at lambda.Scope, after string, max int) (page []*Entry, more bool) {
	n := c.names(at)
	n.mu.RLock()
	i, found := slices.BinarySearch(n.sorted, after)
	if found {
		i++
	}
	rest := n.sorted[i:]
	more = len(rest) > max
	rest = slices.Clone(rest[:min(max, len(rest))])
	n.mu.RUnlock()
	for _, name := range rest {
		if e := c.Get(lambda.FunctionID{Account: at.Account, Region: at.Region, Name: name}); e != nil {
			page = append(page, e)
		}
	}
	return page, more
}

// Count returns how many functions a scope has.
func (c *Catalog) Count(at lambda.Scope) int {
	n := c.names(at)
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.sorted)
}

// All yields every function, in no order. Functions that come or go meanwhile
// may or may not be among them.
func (c *Catalog) All(yield func(*Entry) bool) {
	for i := range c.shards {
		s := &c.shards[i]
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

// Watch is a feed of what changed. It remembers which functions did, not how
// often, so that one who reads it slowly misses nothing and costs little.
type Watch struct {
	c      *Catalog
	signal chan struct{} // buffered 1

	mu  sync.Mutex // guards ids
	ids map[lambda.FunctionID]struct{}
}

// Watch begins a feed. Close ends it.
func (c *Catalog) Watch() *Watch {
	w := &Watch{c: c, signal: make(chan struct{}, 1), ids: map[lambda.FunctionID]struct{}{}}
	c.mu.Lock()
	c.watchers[w] = struct{}{}
	c.mu.Unlock()
	return w
}

func (w *Watch) changed(id lambda.FunctionID) {
	w.mu.Lock()
	w.ids[id] = struct{}{}
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// Next waits until something has changed since the last call and returns which
// functions did. Its error is that of ctx.
func (w *Watch) Next(ctx context.Context) ([]lambda.FunctionID, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-w.signal:
		}
		w.mu.Lock()
		ids := slices.Collect(maps.Keys(w.ids))
		clear(w.ids)
		w.mu.Unlock()
		if len(ids) > 0 {
			return ids, nil
		}
	}
}

// Close ends the feed.
func (w *Watch) Close() {
	w.c.mu.Lock()
	delete(w.c.watchers, w)
	w.c.mu.Unlock()
}

// Tx is one function's state while Update changes it. It belongs to the
// function that Update runs.
type Tx struct {
	id     lambda.FunctionID
	entry  *Entry // with the changes so far
	copied bool
	ops    map[string][]byte // by key; nil deletes
	err    error
}

// Entry returns the function as it stands, with this transaction's changes, or
// nil if there is none. It must not be changed.
func (tx *Tx) Entry() *Entry { return tx.entry }

// own makes sure that tx.entry is a copy that may be changed.
func (tx *Tx) own() *Entry {
	if tx.copied {
		return tx.entry
	}
	tx.copied = true
	if tx.entry == nil {
		tx.entry = &Entry{Versions: map[string]*lambda.Version{}, Aliases: map[string]*lambda.Alias{}}
	} else {
		tx.entry = &Entry{tx.entry.Function, maps.Clone(tx.entry.Versions), maps.Clone(tx.entry.Aliases)}
	}
	return tx.entry
}

func (tx *Tx) put(key string, record any) {
	b, err := encode(record)
	if err != nil && tx.err == nil {
		tx.err = fmt.Errorf("record %s: %w", key, err)
	}
	tx.ops[key] = b
}

// PutFunction records f.
func (tx *Tx) PutFunction(f *lambda.Function) {
	tx.own().Function = f
	tx.put(functionKey(tx.id), f)
}

// PutVersion records v. A published version that exists may change its State
// and what explains it, nothing else: any other change makes Update fail.
func (tx *Tx) PutVersion(v *lambda.Version) {
	if old := tx.entry.version(v.Number); old != nil && !v.IsLatest() && tx.err == nil {
		if err := unchanged(old, v); err != nil {
			tx.err = err
			return
		}
	}
	tx.own().Versions[v.Number] = v
	tx.put(versionKey(tx.id, v.Number), v)
}

func (e *Entry) version(number string) *lambda.Version {
	if e == nil {
		return nil
	}
	return e.Versions[number]
}

// unchanged compares what a published version may never change.
func unchanged(old, v *lambda.Version) error {
	frozen := func(v *lambda.Version) ([]byte, error) {
		c := *v
		c.State, c.StateReason, c.StateReasonCode = "", "", ""
		c.Update, c.UpdateReason, c.UpdateReasonCode = "", "", ""
		return json.Marshal(&c)
	}
	a, err := frozen(old)
	if err != nil {
		return err
	}
	b, err := frozen(v)
	if err != nil {
		return err
	}
	if string(a) != string(b) {
		return fmt.Errorf("version %s of %s is published and cannot change", v.Number, v.ID.Name)
	}
	return nil
}

// PutAlias records a.
func (tx *Tx) PutAlias(a *lambda.Alias) {
	tx.own().Aliases[a.Name] = a
	tx.put(aliasKey(tx.id, a.Name), a)
}

// DeleteVersion removes a version.
func (tx *Tx) DeleteVersion(number string) {
	delete(tx.own().Versions, number)
	tx.ops[versionKey(tx.id, number)] = nil
}

// DeleteAlias removes an alias.
func (tx *Tx) DeleteAlias(name string) {
	delete(tx.own().Aliases, name)
	tx.ops[aliasKey(tx.id, name)] = nil
}

// DeleteFunction removes everything of the function.
func (tx *Tx) DeleteFunction() {
	if tx.entry == nil {
		return
	}
	for number := range tx.entry.Versions {
		tx.ops[versionKey(tx.id, number)] = nil
	}
	for name := range tx.entry.Aliases {
		tx.ops[aliasKey(tx.id, name)] = nil
	}
	tx.ops[functionKey(tx.id)] = nil
	tx.entry, tx.copied = nil, false
}

// Keys: everything of one function is together in key order, and none of the
// parts can contain a slash.
const root = "function/"

func prefix(id lambda.FunctionID) string {
	return root + id.Account + "/" + id.Region + "/" + id.Name + "/"
}
func functionKey(id lambda.FunctionID) string          { return prefix(id) + "function/" }
func versionKey(id lambda.FunctionID, n string) string { return prefix(id) + "version/" + n }
func aliasKey(id lambda.FunctionID, n string) string   { return prefix(id) + "alias/" + n }

func parseKey(key string) (id lambda.FunctionID, kind, name string, err error) {
	parts := strings.Split(key, "/")
	if len(parts) != 6 {
		return id, "", "", fmt.Errorf("record %s: the key has no known form", key)
	}
	return lambda.FunctionID{Account: parts[1], Region: parts[2], Name: parts[3]}, parts[4], parts[5], nil
}

// A value is one byte of format, the CRC-32C of what follows, and JSON.
const format = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(record any) ([]byte, error) {
	j, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 5, 5+len(j))
	b[0] = format
	binary.BigEndian.PutUint32(b[1:], crc32.Checksum(j, castagnoli))
	return append(b, j...), nil
}

func decode(value []byte, record any) error {
	if len(value) < 5 {
		return fmt.Errorf("too short")
	}
	if value[0] != format {
		return fmt.Errorf("format %d is unknown to this version", value[0])
	}
	if crc32.Checksum(value[5:], castagnoli) != binary.BigEndian.Uint32(value[1:]) {
		return fmt.Errorf("the checksum does not match: the record is damaged")
	}
	return json.Unmarshal(value[5:], record)
}
