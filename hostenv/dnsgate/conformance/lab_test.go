package conformance

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Lab is the laboratory.
type Lab struct {
	Fleet     *Fleet
	Web       *Web
	Resolvers []*Unbound // Boulder's, by perspective, and the gate's
	Oracle    *Oracle

	waits waits
	order atomic.Uint64 // how the resolvers order addresses: see Unbound.order

	dir       string
	cert, key string // paths
	roots     *x509.CertPool
}

// perspectives is the number of resolvers: one for each of Boulder's six
// perspectives, the primary one and five that are remote. The CA/Browser Forum wants
// five of these from 2026-12-15.
const perspectives = 6

// Start starts the laboratory in this process's network namespace.
func Start() (started *Lab, err error) {
	if err := setupNetwork(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hostenv-conformance-")
	if err != nil {
		return nil, err
	}
	lab := &Lab{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, lab.Close())
			started = nil
		}
	}()
	if lab.cert, lab.key, lab.roots, err = writeCertificate(dir); err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	if lab.Fleet, err = StartFleet(); err != nil {
		return nil, err
	}
	if err := errors.Join(
		lab.Fleet.Add(hostingZone()),
		lab.Fleet.Add(Zone{Origin: BogusZone, Servers: []string{"p1", "p2"}}),
	); err != nil {
		return nil, err
	}
	if lab.Web, err = StartWeb(lab.cert, lab.key); err != nil {
		return nil, err
	}
	return lab, lab.Restart(usual)
}

// Restart replaces the resolvers and the oracle, so that they remember nothing: an unbound
// that got no answer from a server in time asks it less for 15 minutes.
func (l *Lab) Restart(how waits) error {
	if err := l.closeResolvers(); err != nil {
		return err
	}
	l.waits, l.Resolvers, l.Oracle = how, make([]*Unbound, perspectives+1), nil
	var group errgroup.Group
	for n := range l.Resolvers {
		group.Go(func() (err error) {
			l.Resolvers[n], err = l.StartUnbound(n)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var err error
	l.Oracle, err = NewOracle(l.Web, l.Resolvers[:perspectives], l.roots, how)
	return err
}

func (l *Lab) closeResolvers() error {
	var errs []error
	for _, resolver := range l.Resolvers {
		if resolver != nil {
			errs = append(errs, resolver.Close())
		}
	}
	l.Resolvers = nil
	return errors.Join(errs...)
}

// Gate returns the resolver that the gate asks, as host:port.
func (l *Lab) Gate() string { return l.Resolvers[perspectives].Plain }

// Close stops the laboratory.
func (l *Lab) Close() error {
	errs := []error{l.closeResolvers()}
	if l.Web != nil {
		errs = append(errs, l.Web.Close())
	}
	if l.Fleet != nil {
		errs = append(errs, l.Fleet.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}
