package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// directory keeps a journal in files, next to the data.
type directory string

func (d directory) Load() (map[string][]byte, error) {
	files, err := os.ReadDir(string(d))
	all := make(map[string][]byte, len(files))
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".new") {
			continue // the save was cut short, and had not returned nil
		}
		if all[f.Name()], err = os.ReadFile(filepath.Join(string(d), f.Name())); err != nil {
			return nil, err
		}
	}
	return all, err
}

func (d directory) Save(_ context.Context, key string, value []byte) error {
	name := filepath.Join(string(d), key)
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(name+".new", name), d.sync())
}

// sync makes the names in the directory as safe as the files.
func (d directory) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// disks stands for a service that keeps its data on a disk.
type disks struct{}

func (disks) Receive(context.Context, int, []cluster.Member, int) error { return nil }
func (disks) Release(context.Context, int) error                        { return nil }

// A member whose data is on a disk keeps a journal beside the data. When it starts
// again, it is the same owner as before.
func ExampleJournal() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	network, err := memnet.New(memnet.Options{})
	if err != nil {
		panic(err)
	}
	run := func() {
		c := startExample(network, 1, func(o *cluster.Options) {
			o.Handoff.Mover = disks{}
			o.Handoff.Journal = directory(dir)
			o.PartitionCount = 64          // each has a file
			o.Gossip.TrustedNetwork = true // in production: o.Gossip.Keys
		})
		for c.Local().State != membership.Active || c.Handoff().State().Receiving > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Println("goes on with data of an earlier start:", c.Local().Origin != 0)
		_ = c.Stop(context.Background())
	}
	run()
	run()
	// Output:
	// goes on with data of an earlier start: false
	// goes on with data of an earlier start: true
}
