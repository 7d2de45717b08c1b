{ mkOption, types, ... }:
mkOption {
  type = types.submodule {
    freeformType = types.attrsOf types.anything;
    options.trustedPublicKeys = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [ "hosting.example-1:WLnA8b5JGgQp0TpWdHmEvx3WhzZ2gQ0kS5ZcbQ3xF1E=" ];
      description = "Public keys whose signatures the nodes accept, besides those of the binary caches.";
    };
  };
  default = { };
  example = { trustedPublicKeys = [ "hosting.example-1:WLnA8b5JGgQp0TpWdHmEvx3WhzZ2gQ0kS5ZcbQ3xF1E=" ]; };
  description = "Signatures of the closures that `mage deploy` copies to the nodes. The plan holds these options.";
}
