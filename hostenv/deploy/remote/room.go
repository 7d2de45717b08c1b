package remote

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Where a node keeps what a deploy adds, and where a boot loader may copy kernels to.
var diskFolders = []string{"/", deploy.FolderStore, deploy.FolderDatabase, "/boot", "/boot/efi", "/efi"}

// disks returns the folders whose file systems a deploy to a node needs.
func disks(n deploy.Node) []string {
	all := slices.Clone(diskFolders)
	for _, p := range n.Profiles {
		all = append(all, path.Dir(p.Link))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// boot returns the folder to which the boot loader copies kernels, "" if it reads them
// from the store: one on a file system of its own. If several are, it is the one that
// has kernels; that of EFI may be closed to the deploy user.
func (r *report) boot() string {
	found := ""
	for _, folder := range []string{"/boot", "/efi", "/boot/efi"} {
		disk, ok := r.disks[folder]
		if !ok || disk.ID == r.disks["/"].ID || disk.ID == r.disks[deploy.FolderStore].ID {
			continue
		}
		if r.loaders[folder] {
			return folder
		}
		if folder == "/boot" {
			found = folder
		}
	}
	return found
}

// Room asks what the node lacks and has free; see [deploy.Session].
func (s *session) Room(ctx context.Context, paths []string) (deploy.Room, error) {
	for _, path := range paths {
		if !isStorePath(path) {
			return deploy.Room{}, refused(s.node.Name, fmt.Sprintf("%q is not a store path", path), "run `mage plan`")
		}
	}
	folders, err := Quote(disks(s.node)...)
	if err != nil {
		return deploy.Room{}, err
	}
	a, err := s.request(ctx, "room", []byte(strings.Join(paths, "\n")), folders)
	if err == nil && a.status != 0 {
		err = &CommandError{s.node.Name, s.node.User, "asking Nix which paths it has", a.status, a.stderr}
	}
	if err != nil {
		return deploy.Room{}, err
	}
	r, err := readReport(a.stdout)
	if err != nil {
		return deploy.Room{}, fmt.Errorf("node %s: read which paths it lacks: %w", s.node.Name, err)
	}
	return deploy.Room{Lacking: r.lacking, Disks: r.disks}, nil
}
