package catalog

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/lambent-run/lambent/lambda"
)

// Catalog is the record, in memory and on a Store. Make one with Open.
type Catalog struct {
	store     Store
	functions *table[Entry]

	// Layers, CodeSigning and Providers are the resources that are no functions.
	Layers      *Collection[lambda.LayerRecord]
	CodeSigning *Collection[lambda.CodeSigning]
	Providers   *Collection[lambda.CapacityProvider]

	urls sync.Map // id → place of the function URL

	mu       sync.RWMutex // guards watchers and claims
	claims   map[lambda.Scope]*atomic.Int64
	watchers map[*Watch]struct{}
}

// place is where a function URL's configuration stands.
type place struct {
	function  lambda.FunctionID
	qualifier string
}

// Open loads every record of the store. A record that is damaged refuses to
// load: the error names its key.
func Open(ctx context.Context, store Store) (*Catalog, error) {
	c := &Catalog{
		store: store, functions: newTable[Entry](), watchers: map[*Watch]struct{}{}, claims: map[lambda.Scope]*atomic.Int64{},
		Layers:      newCollection[lambda.LayerRecord](store, "layer"),
		CodeSigning: newCollection[lambda.CodeSigning](store, "code-signing"),
		Providers:   newCollection[lambda.CapacityProvider](store, "capacity-provider"),
	}
	for _, load := range []func(context.Context) error{c.load, c.Layers.load, c.CodeSigning.load, c.Providers.load} {
		if err := load(ctx); err != nil {
			return nil, fmt.Errorf("load the catalog: %w", err)
		}
	}
	return c, nil
}

// load reads the functions.
func (c *Catalog) load(ctx context.Context) error {
	var e *Entry
	var id lambda.FunctionID
	add := func() error {
		if e == nil {
			return nil
		}
		if e.Function == nil || e.Versions[lambda.Latest] == nil {
			return fmt.Errorf("the records of %s are incomplete", id.ARN())
		}
		c.functions.load(lambda.ResourceID(id), e)
		c.index(id, nil, e)
		e = nil
		return nil
	}
	err := c.store.Load(ctx, root, func(key string, value []byte) error {
		of, kind, name, err := parseKey(key)
		if err != nil {
			return err
		}
		if of != id || e == nil {
			if err := add(); err != nil {
				return err
			}
			id, e = of, newEntry()
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
		case "settings":
			s := new(lambda.Settings)
			err = decode(value, s)
			e.Settings[name] = s
		}
		if err != nil {
			return fmt.Errorf("record %s: %w", key, err)
		}
		return nil
	})
	if err == nil {
		err = add()
	}
	c.functions.loaded()
	return err
}

func newEntry() *Entry {
	return &Entry{
		Versions: map[string]*lambda.Version{}, Aliases: map[string]*lambda.Alias{}, Settings: map[string]*lambda.Settings{},
	}
}

// Get returns what is known of a function now, or nil if there is none. It
// allocates nothing and takes no lock that all functions share.
func (c *Catalog) Get(id lambda.FunctionID) *Entry { return c.functions.get(lambda.ResourceID(id)) }

// URL finds a function URL by its id: the function, the qualifier it is of
// ($LATEST or an alias) and its configuration.
func (c *Catalog) URL(id string) (fn lambda.FunctionID, qualifier string, u *lambda.URL, ok bool) {
	v, ok := c.urls.Load(id)
	if !ok {
		return fn, "", nil, false
	}
	p := v.(place)
	// The index follows the entry by a moment: what counts is the entry.
	if e := c.Get(p.function); e != nil {
		if s := e.Settings[p.qualifier]; s != nil && s.URL != nil && s.URL.ID == id {
			return p.function, p.qualifier, s.URL, true
		}
	}
	return fn, "", nil, false
}

// Claims is the sum of what the functions of a scope claim (Entry.Claims). It
// follows every change before Update returns; it is to be read, not changed.
func (c *Catalog) Claims(at lambda.Scope) *atomic.Int64 {
	c.mu.RLock()
	n := c.claims[at]
	c.mu.RUnlock()
	if n != nil {
		return n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = c.claims[at]; n == nil {
		n = new(atomic.Int64)
		c.claims[at] = n
	}
	return n
}

// index brings what is derived from the functions from what one was to what it is.
func (c *Catalog) index(id lambda.FunctionID, before, after *Entry) {
	more := 0
	if before != nil {
		more -= before.Claims()
	}
	if after != nil {
		more += after.Claims()
	}
	if more != 0 {
		c.Claims(id.Scope()).Add(int64(more))
	}
	if before != nil {
		for q, s := range before.Settings {
			if s.URL != nil && (after == nil || after.Settings[q] == nil || after.Settings[q].URL == nil || after.Settings[q].URL.ID != s.URL.ID) {
				c.urls.Delete(s.URL.ID)
			}
		}
	}
	if after != nil {
		for q, s := range after.Settings {
			if s.URL != nil {
				c.urls.Store(s.URL.ID, place{id, q})
			}
		}
	}
}

// Update runs fn with the function's present state. What fn changes through tx
// becomes durable and then visible, in one step. Updates of one function take
// turns; ctx bounds the wait for the turn, not the work. An error of fn ends it,
// is returned as it is, and nothing has changed.
func (c *Catalog) Update(ctx context.Context, id lambda.FunctionID, fn func(tx *Tx) error) error {
	changed := false
	before, after, err := c.functions.update(ctx, c.store, lambda.ResourceID(id), func(before *Entry) (*Entry, map[string][]byte, error) {
		tx := &Tx{id: id, entry: before, ops: map[string][]byte{}}
		if err := fn(tx); err != nil {
			return nil, nil, err
		}
		changed = len(tx.ops) > 0
		return tx.entry, tx.ops, tx.err
	})
	if err != nil || !changed {
		return err
	}
	c.index(id, before, after)
	c.mu.RLock()
	for w := range c.watchers {
		w.changed(id)
	}
	c.mu.RUnlock()
	return nil
}

// List returns the functions of a scope in name order, those after the name
// `after`, at most max of them, and the name after which the next page begins,
// or "" if nothing follows. Its cost is that of the page.
func (c *Catalog) List(at lambda.Scope, after string, max int) (page []*Entry, next string) {
	return c.functions.list(at, after, max)
}

// Count returns how many functions a scope has.
func (c *Catalog) Count(at lambda.Scope) int { return c.functions.count(at) }

// All yields every function, in no order. Functions that come or go meanwhile
// may or may not be among them.
func (c *Catalog) All(yield func(*Entry) bool) { c.functions.all(yield) }

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
		tx.entry = newEntry()
	} else {
		tx.entry = &Entry{tx.entry.Function, maps.Clone(tx.entry.Versions), maps.Clone(tx.entry.Aliases), maps.Clone(tx.entry.Settings)}
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

// PutSettings records the settings of a qualifier, or removes them if s is empty.
func (tx *Tx) PutSettings(qualifier string, s *lambda.Settings) {
	if s.Empty() {
		if tx.entry != nil && tx.entry.Settings[qualifier] != nil {
			delete(tx.own().Settings, qualifier)
			tx.ops[settingsKey(tx.id, qualifier)] = nil
		}
		return
	}
	tx.own().Settings[qualifier] = s
	tx.put(settingsKey(tx.id, qualifier), s)
}

// DeleteVersion removes a version, with its settings.
func (tx *Tx) DeleteVersion(number string) {
	delete(tx.own().Versions, number)
	tx.ops[versionKey(tx.id, number)] = nil
	tx.PutSettings(number, nil)
}

// DeleteAlias removes an alias, with its settings.
func (tx *Tx) DeleteAlias(name string) {
	delete(tx.own().Aliases, name)
	tx.ops[aliasKey(tx.id, name)] = nil
	tx.PutSettings(name, nil)
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
	for qualifier := range tx.entry.Settings {
		tx.ops[settingsKey(tx.id, qualifier)] = nil
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
func functionKey(id lambda.FunctionID) string           { return prefix(id) + "function/" }
func versionKey(id lambda.FunctionID, n string) string  { return prefix(id) + "version/" + n }
func aliasKey(id lambda.FunctionID, n string) string    { return prefix(id) + "alias/" + n }
func settingsKey(id lambda.FunctionID, q string) string { return prefix(id) + "settings/" + q }

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
