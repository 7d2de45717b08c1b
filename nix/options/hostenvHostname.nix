{ types, required, ... }:
required types.str "hosting.example" ''
  The provider's own domain. The host name of an environment is
  `<userName>.<hostenvHostname>`, that of a node `<node>.<hostenvHostname>`.
''
