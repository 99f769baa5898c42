package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A flag beats the environment, which beats the file, which beats the default.
func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lambent.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:1\nregion: eu-west-1\nkeep-alive: 5m\naccount: \"111111111111\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"LAMBENT_LISTEN": "127.0.0.1:2", "LAMBENT_REGION": "us-west-2"}
	var o options
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(f)
	if err := f.Parse([]string{"--listen", "127.0.0.1:3"}); err != nil {
		t.Fatal(err)
	}
	err := complete(f, file, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if o.Listen != "127.0.0.1:3" || o.Region != "us-west-2" || o.Account != "111111111111" || o.KeepAlive.String() != "5m0s" || o.Auth != "off" {
		t.Errorf("got %+v", o)
	}
}

// A setting that may be repeated is a list in the file, and in the environment one like PATH.
func TestRepeatedSettings(t *testing.T) {
	for _, c := range []struct {
		args      []string
		env, file string
		want      string
	}{
		{nil, "", "", "[]"},
		{[]string{"--hot-reload", "/a,b", "--hot-reload", "/c"}, "/d", "hot-reload: /e\n", "[/a,b /c]"},
		{nil, "/a:/b", "hot-reload: /e\n", "[/a /b]"},
		{nil, "", "hot-reload: /e\n", "[/e]"},
		{nil, "", "hot-reload:\n- /e\n- /f\n", "[/e /f]"},
		{nil, "", "region:\n- /e\n", "region"},
	} {
		file := filepath.Join(t.TempDir(), "lambent.yaml")
		if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		var o options
		f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		o.register(f)
		if err := f.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		err := complete(f, file, func(k string) (string, bool) { return c.env, k == "LAMBENT_HOT_RELOAD" && c.env != "" })
		if got := fmt.Sprint(o.HotReload); err == nil && got != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, %q, %q: %s, %v, want %s", c.args, c.env, c.file, got, err, c.want)
		}
	}
}

// A key the server does not know is a mistake, not a wish.
func TestUnknownKeyIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lambent.yaml")
	if err := os.WriteFile(file, []byte("lisen: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var o options
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(f)
	if err := complete(f, file, func(string) (string, bool) { return "", false }); err == nil || !strings.Contains(err.Error(), "lisen") {
		t.Errorf("got %v", err)
	}
}

// What cannot be served is refused with a line that names the flag.
func TestBadOptionsAreRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--listen", "nonsense"}, "--listen"},
		{[]string{"--listen", "0.0.0.0:4566"}, "loopback"},
		{[]string{"--listen", ":4566"}, "loopback"},
		{[]string{"--auth", "on"}, "--auth"},
		{[]string{"--auth", "maybe"}, "--auth"},
		{[]string{"--sandbox", "docker"}, "--sandbox"},
		{[]string{"--account", "1"}, "--account"},
		{[]string{"--region", "mars"}, "--region"},
		{[]string{"--keep-alive", "1ms"}, "--keep-alive"},
		{[]string{"--data", ""}, "--data"},
		{[]string{"--endpoint-s3", "127.0.0.1:9000"}, "--endpoint-s3"},
		{[]string{"--endpoint-s3", "s3://bucket"}, "--endpoint-s3"},
	} {
		var o options
		f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		o.register(f)
		if err := f.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want a line about %s", c.args, err, c.want)
		}
	}
}
