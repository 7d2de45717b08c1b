{ mkOption, types, ... }:
mkOption {
  type = types.bool;
  default = false;
  description = ''
    Whether a plan may have no environments at all. Such a plan removes all users
    from all nodes, and its most frequent cause is a missing input.
  '';
}
