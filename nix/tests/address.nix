# The spelling of addresses for programs, by the table that also tests hostenv/names.
let
  inherit (builtins) fromJSON mapAttrs readFile;
  forms = import ../lib/address.nix;
  table = fromJSON (readFile ../../hostenv/names/testdata/addressForms.json);
in
{
  forms = {
    expr = mapAttrs (_: { address, node, ... }: { inherit address node; ssh = forms.ssh address; deploy = forms.deploy node address; }) table;
    expected = table;
  };
}
