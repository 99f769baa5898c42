// Package sqlite keeps the catalog's records in one SQLite file, meta.db in the
// data directory. Only cmd and tests import it; everyone else sees catalog.Store.
//
// One goroutine owns the connection and writes. It takes every commit that
// waits, applies them in one transaction and answers them after the one sync
// that makes it durable, so that many callers share its cost and nothing is
// answered before it would survive a power cut (write-ahead log,
// synchronous=FULL). Each commit is all or nothing within the group.
//
// What is read back is checked: SQLite verifies a checksum on every page, each
// record carries its own hash, and a state row, written with every transaction,
// holds the number of records and the XOR of their hashes, which opening must
// find again. A hole that SQLite would not notice is noticed.
//
// After an error of a write nothing is known about what is on disk. The store
// then refuses everything and says so on Fatal: the process is to stop, and the
// next start finds out from the file.
package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"github.com/lambent-run/lambent/catalog"
)

// A group takes commits until it holds this many operations or bytes: enough to
// share a sync among every caller there is, little enough to stay short.
const (
	maxOps   = 4096
	maxBytes = 8 << 20
)

// oldest is the first SQLite without the write-ahead log defect that two
// checkpointing connections could meet (fixed in 3.51.3, 2026-03-13).
const oldest = 3_051_003

// DB is a catalog.Store. Make one with Open.
type DB struct {
	requests chan *request
	quit     chan struct{}
	done     chan struct{}
	fatal    chan error

	mu     sync.Mutex // guards closed and failed
	closed bool
	failed error

	// Owned by the writer.
	conn                                      *sqlite3.Conn
	begin, commit, old, put, drop, state, get *sqlite3.Stmt
	sum                                       summary
}

// summary is the state row.
type summary struct {
	records, xor, commits int64
}

// request is something for the writer to do.
type request struct {
	ops  []catalog.Op
	load func() error // instead of ops: runs on the connection
	size int
	done chan error
}

// migrations bring a file from version i to i+1, in one transaction each. They
// are only ever added to.
var migrations = []string{
	`CREATE TABLE record(key TEXT PRIMARY KEY, value BLOB NOT NULL, hash INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE TABLE state(id INTEGER PRIMARY KEY CHECK (id = 0), records INTEGER NOT NULL, xor INTEGER NOT NULL, commits INTEGER NOT NULL);
	 INSERT INTO state VALUES (0, 0, 0, 0);`,
}

// at is called at each named point where a crash would be interesting. Tests
// set it to a function that kills the process.
var at = func(string) {}

// Open opens or makes meta.db in dir and checks it. The directory must not be
// used by another process; see internal/datadir.
func Open(ctx context.Context, dir string) (*DB, error) {
	d := &DB{requests: make(chan *request, 256), quit: make(chan struct{}), done: make(chan struct{}), fatal: make(chan error, 1)}
	path := filepath.Join(dir, "meta.db")
	if err := d.open(path); err != nil {
		if d.conn != nil {
			_ = d.shut() // what failed before is what counts
		}
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	go d.run() // ends with Close, which waits for it
	return d, nil
}

func (d *DB) open(path string) (err error) {
	_, statErr := os.Stat(path)
	if d.conn, err = sqlite3.OpenFlags(path, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE); err != nil {
		return err
	}
	// One process, one connection: exclusive locking needs no shared memory.
	if err := d.conn.Exec("PRAGMA locking_mode=EXCLUSIVE"); err != nil {
		return err
	}
	if errors.Is(statErr, os.ErrNotExist) {
		if err := d.conn.EnableChecksums("main"); err != nil {
			return fmt.Errorf("enable page checksums: %w", err)
		}
	}
	for _, pragma := range []string{"journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000", "cache_size=-16384"} {
		if err := d.conn.Exec("PRAGMA " + pragma); err != nil {
			return fmt.Errorf("%s: %w", pragma, err)
		}
	}
	if n, err := d.number("SELECT 1000000*substr(v,1,instr(v,'.')-1) + 1000*substr(rest,1,instr(rest,'.')-1) + substr(rest,instr(rest,'.')+1) " +
		"FROM (SELECT sqlite_version() v, substr(sqlite_version(), instr(sqlite_version(),'.')+1) rest)"); err != nil {
		return err
	} else if n < oldest {
		return fmt.Errorf("the SQLite linked in is version %d, older than %d", n, oldest)
	}
	if err := d.migrate(); err != nil {
		return err
	}
	for _, p := range []struct {
		stmt **sqlite3.Stmt
		sql  string
	}{
		{&d.begin, "BEGIN IMMEDIATE"},
		{&d.commit, "COMMIT"},
		{&d.old, "SELECT hash FROM record WHERE key = ?"},
		{&d.put, "INSERT INTO record VALUES (?, ?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value, hash = excluded.hash"},
		{&d.drop, "DELETE FROM record WHERE key = ?"},
		{&d.state, "UPDATE state SET records = ?, xor = ?, commits = ? WHERE id = 0"},
		{&d.get, "SELECT key, value, hash FROM record WHERE key >= ? AND key < ? ORDER BY key"},
	} {
		if *p.stmt, _, err = d.conn.Prepare(p.sql); err != nil {
			return err
		}
	}
	return d.verify()
}

func (d *DB) number(sql string) (int64, error) {
	st, _, err := d.conn.Prepare(sql)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	if !st.Step() {
		return 0, fmt.Errorf("%s: no row: %w", sql, st.Err())
	}
	return st.ColumnInt64(0), nil
}

func (d *DB) migrate() error {
	version, err := d.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if version > int64(len(migrations)) {
		return fmt.Errorf("the file has schema version %d, made by a newer lambent; this one knows versions up to %d", version, len(migrations))
	}
	for i := version; i < int64(len(migrations)); i++ {
		at("migrate")
		sql := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;", migrations[i], i+1)
		if err := d.conn.Exec(sql); err != nil {
			return fmt.Errorf("migrate to schema version %d: %w", i+1, err)
		}
		at("migrated")
	}
	return nil
}

// verify reads everything and compares it with the state row.
func (d *DB) verify() error {
	st, _, err := d.conn.Prepare("SELECT records, xor, commits FROM state")
	if err != nil {
		return err
	}
	defer st.Close()
	if !st.Step() {
		return fmt.Errorf("the state row is missing: %w", errors.Join(errDamaged, st.Err()))
	}
	d.sum = summary{st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)}
	var found summary
	err = d.scan("", "\xff", func(key string, value []byte, sum int64) error {
		if hash(key, value) != sum {
			return fmt.Errorf("record %s: %w", key, errDamaged)
		}
		found.records++
		found.xor ^= sum
		return nil
	})
	if err != nil {
		return err
	}
	if found.records != d.sum.records || found.xor != d.sum.xor {
		return fmt.Errorf("%d records were found where %d should be: %w", found.records, d.sum.records, errDamaged)
	}
	return nil
}

var errDamaged = errors.New("the file is damaged; restore a backup")

func (d *DB) scan(from, to string, fn func(key string, value []byte, sum int64) error) error {
	defer d.get.Reset()
	if err := errors.Join(d.get.BindText(1, from), d.get.BindText(2, to)); err != nil {
		return err
	}
	for d.get.Step() {
		if err := fn(d.get.ColumnText(0), d.get.ColumnBlob(1, nil), d.get.ColumnInt64(2)); err != nil {
			return err
		}
	}
	return d.get.Err()
}

func hash(key string, value []byte) int64 {
	h := fnv.New64a()
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(key)))
	h.Write(n[:])
	h.Write([]byte(key))
	h.Write(value)
	return int64(h.Sum64())
}

// Commit makes ops durable, all or none. It waits for the writer, not for ctx
// once the writer has taken them: then the answer is what happened.
func (d *DB) Commit(ctx context.Context, ops []catalog.Op) error {
	r := &request{ops: ops, done: make(chan error, 1)}
	for _, op := range ops {
		if op.Key == "" || strings.IndexByte(op.Key, 0) >= 0 {
			return fmt.Errorf("the key %q cannot be stored", op.Key)
		}
		r.size += len(op.Key) + len(op.Value)
	}
	return d.ask(ctx, r)
}

// Load calls fn for every record with the prefix, in key order.
func (d *DB) Load(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	return d.ask(ctx, &request{done: make(chan error, 1), load: func() error {
		return d.scan(prefix, prefix+"\xff", func(key string, value []byte, _ int64) error { return fn(key, value) })
	}})
}

func (d *DB) ask(ctx context.Context, r *request) error {
	d.mu.Lock()
	if d.closed || d.failed != nil {
		err := d.failed
		d.mu.Unlock()
		if err == nil {
			err = errors.New("the store is closed")
		}
		return err
	}
	d.mu.Unlock()
	select {
	case d.requests <- r:
	case <-d.done:
		return errors.New("the store is closed")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-r.done:
		return err
	case <-d.done:
		select {
		case err := <-r.done: // answered just before the end
			return err
		default:
			return errors.New("the store is closed")
		}
	}
}

// Fatal carries the one error after which the process must stop.
func (d *DB) Fatal() <-chan error { return d.fatal }

// Close answers what waits, brings the log into the file and closes it.
func (d *DB) Close() error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.quit)
	}
	d.mu.Unlock()
	<-d.done
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return nil
	}
	var err error
	if d.failed == nil {
		err = d.conn.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	}
	err = errors.Join(err, d.shut())
	d.conn = nil
	return err
}

// shut closes the connection, which must have no statement left.
func (d *DB) shut() error {
	var errs []error
	for _, st := range slices.Collect(d.conn.Stmts()) {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, d.conn.Close())...)
}

// run is the writer.
func (d *DB) run() {
	defer close(d.done)
	for {
		var r *request
		select {
		case r = <-d.requests:
		case <-d.quit:
			select {
			case r = <-d.requests: // it was in before the end
			default:
				return
			}
		}
		group, ops, size := []*request{}, 0, 0
		for r != nil {
			if r.load != nil {
				d.flush(group)
				group, ops, size = group[:0], 0, 0
				r.done <- r.load()
			} else {
				group = append(group, r)
				ops += len(r.ops)
				size += r.size
			}
			r = nil
			if ops < maxOps && size < maxBytes {
				select {
				case r = <-d.requests:
				default:
				}
			}
		}
		d.flush(group)
	}
}

// flush writes a group and answers it.
func (d *DB) flush(group []*request) {
	if len(group) == 0 {
		return
	}
	err := d.failed // only the writer sets it
	if err == nil {
		if err = d.write(group); err != nil {
			err = fmt.Errorf("the store failed: %w", err)
			d.mu.Lock()
			d.failed = err
			d.mu.Unlock()
			d.fatal <- err
		}
	}
	at("answer")
	for _, r := range group {
		r.done <- err
	}
}

func (d *DB) write(group []*request) error {
	sum := d.sum
	at("begin")
	if err := d.begin.Exec(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, r := range group {
		for i := range r.ops {
			if err := d.apply(&r.ops[i], &sum); err != nil {
				return fmt.Errorf("write %s: %w", r.ops[i].Key, err)
			}
			at("applied")
		}
	}
	sum.commits++
	if err := errors.Join(d.state.BindInt64(1, sum.records), d.state.BindInt64(2, sum.xor), d.state.BindInt64(3, sum.commits), d.state.Exec()); err != nil {
		return fmt.Errorf("write the state row: %w", err)
	}
	at("commit")
	if err := d.commit.Exec(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	d.sum = sum
	at("committed")
	return nil
}

func (d *DB) apply(op *catalog.Op, sum *summary) error {
	if err := d.old.BindText(1, op.Key); err != nil {
		return err
	}
	existed := d.old.Step()
	if existed {
		sum.records--
		sum.xor ^= d.old.ColumnInt64(0)
	}
	if err := errors.Join(d.old.Err(), d.old.Reset()); err != nil {
		return err
	}
	if op.Value == nil {
		if !existed {
			return nil
		}
		return errors.Join(d.drop.BindText(1, op.Key), d.drop.Exec())
	}
	h := hash(op.Key, op.Value)
	sum.records++
	sum.xor ^= h
	return errors.Join(d.put.BindText(1, op.Key), d.put.BindBlob(2, op.Value), d.put.BindInt64(3, h), d.put.Exec())
}
