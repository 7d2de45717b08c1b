# reachable address: the address by which a node itself reaches what listens on an
# address, which may be all addresses.
address:
let
  inner = builtins.match "\\[(.*)]" address;
  bare = if inner == null then address else builtins.head inner;
in
  { "0.0.0.0" = "127.0.0.1"; "*" = "127.0.0.1"; "::" = "::1"; "::0" = "::1"; }.${bare} or bare
