{ mkOption, types, ... }:
mkOption {
  type = types.attrsOf types.str;
  default = { };
  example = { production = "node-a"; default = "node-b"; };
  description = ''
    The node of an environment by its type (`production`, `testing`,
    `development`), and by `default` for all other types. `provider.placement`
    takes precedence.
  '';
}
