package conformance

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
)

// Lab is the laboratory.
type Lab struct {
	Fleet     *Fleet
	Web       *Web
	Resolvers []*Unbound // Boulder's, by perspective, and the gate's
	Oracle    *Oracle

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
	lab.Resolvers = make([]*Unbound, perspectives+1)
	var group errgroup.Group
	for n := range lab.Resolvers {
		group.Go(func() (err error) {
			lab.Resolvers[n], err = StartUnbound(dir, n, lab.cert, lab.key)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	lab.Oracle, err = NewOracle(lab.Web, lab.Resolvers[:perspectives], lab.roots)
	return lab, err
}

// Gate returns the resolver that the gate asks, as host:port.
func (l *Lab) Gate() string { return l.Resolvers[perspectives].Plain }

// Close stops the laboratory.
func (l *Lab) Close() error {
	var errs []error
	for _, resolver := range l.Resolvers {
		if resolver != nil {
			errs = append(errs, resolver.Close())
		}
	}
	if l.Web != nil {
		errs = append(errs, l.Web.Close())
	}
	if l.Fleet != nil {
		errs = append(errs, l.Fleet.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}
