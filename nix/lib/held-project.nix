# One project of the inventory, evaluated alone: see held.nix for `held`, and
# project.nix for the others.
{ held, name, system, hostenvHostname }:
let alone = import ./held.nix held; in
import ./project.nix {
  inherit (held) lock;
  inherit (alone) root overrides callFlake;
  inherit name system hostenvHostname;
}
