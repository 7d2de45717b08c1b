package targets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/drive"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/fleetpage"
	"github.com/woolwichweb/hostenv-provider/hostenv/fleetpage/serve"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Fleet writes a page that shows the nodes, environments and names, and what needs you.
//
// The page is one HTML file, made from the plan, the state and the deploys of this
// checkout. It loads nothing and sends nothing. -ask asks the nodes as well, as `mage
// status` does. -serve shows it to the browsers of this machine until Ctrl-C, made anew
// each time that it is loaded; the nodes are asked once.
//
// Exit codes: 0 after success; 1 after an error; 4 if the plan is older than the
// state.
func Fleet(ctx context.Context,
	ask *bool, // ask the nodes for their versions and certificates
	serve *bool, // show the page at 127.0.0.1, write no file
	port *int, // with -serve: the port, default any that is free
	file *string, // the file to write, default .hostenv/fleet.html in the generated folder
	out *string, // the generated folder, default generated
) error {
	shows := value(serve, false)
	r := fleetRun{lookRun: lookRun{folder: openFolder(out, false)}}
	return r.run(map[string]*string{"-file": file}, func() error {
		switch {
		case shows && file != nil:
			return problem.New("", "-serve writes no file, and cannot be combined with -file", "omit one of them")
		case !shows && port != nil:
			return problem.New("-port", "has no effect without -serve", "add -serve")
		}
		unexamined := error(nil)
		if value(ask, false) {
			err := r.look(ctx, func(ctx context.Context, p *drive.Plan, selected []deploy.Node, config *remote.Config) error {
				found, err := r.ask(ctx, p, selected, config)
				if err != nil {
					return err
				}
				r.asked, unexamined = found.page(time.Now()), found.wrong
				return nil
			})
			if err != nil {
				return err
			}
		}
		if shows {
			return errors.Join(unexamined, r.serve(ctx, value(port, 0)))
		}
		return errors.Join(r.write(ctx, value(file, r.Hidden("fleet.html"))), unexamined)
	})
}

// A fleetRun makes pages of the fleet.
type fleetRun struct {
	lookRun
	asked *fleetpage.Answers // nil if the nodes were not asked
}

// page reads the plan, the state and the journals, and makes the page.
func (r *fleetRun) page(ctx context.Context) ([]byte, error) {
	p, err := drive.Read(ctx, r.Folder)
	if err != nil {
		return nil, err
	}
	runs, err := readRuns(r.Hidden("runs"))
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	err = fleetpage.Write(&page, fleetpage.Facts{Now: time.Now(), Plan: p.Document, State: p.State, Runs: runs, Asked: r.asked})
	return page.Bytes(), err
}

// readRuns reads all journals of a folder. One that cannot be read is a run that says so.
func readRuns(dir string) ([]fleetpage.Run, error) {
	ids, err := deploy.Runs(dir)
	if err != nil {
		return nil, err
	}
	var runs []fleetpage.Run
	for _, id := range ids {
		events, err := deploy.ReadJournal(dir, id)
		if err != nil {
			runs = append(runs, fleetpage.Run{ID: id, Unreadable: err})
			continue
		}
		runs = append(runs, fleetpage.RunOf(id, events))
	}
	return runs, nil
}

func (r *fleetRun) serve(ctx context.Context, port int) error {
	ctx, gentle, release := interrupts(ctx, func(string) {})
	defer release()
	if _, err := r.page(ctx); err != nil { // so that a mistake is reported here
		return err
	}
	listener, err := serve.Listen(ctx, port)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout(), "http://%s/ shows the fleet until you press Ctrl-C\n", listener.Addr())
	return serve.Until(gentle, listener, r.page)
}

// write writes the page to a file, wholly or not at all.
func (r *fleetRun) write(ctx context.Context, path string) error {
	page, err := r.page(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.tmp", filepath.Base(path), os.Getpid()))
	if err := os.WriteFile(temporary, page, 0o666); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	fmt.Fprintln(stdout(), "wrote", path)
	return nil
}
