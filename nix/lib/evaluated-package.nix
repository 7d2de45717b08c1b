# evaluated-package { name; path; derivation; output; }: a package that another
# process evaluated, and whose derivation is in the store: what nixpkgs and deploy-rs
# read of one output of a derivation. Nothing of its flake is evaluated.
{ name, path, derivation ? null, output ? null }:
let
  # The name of the output is the customer's: it replaces no other attribute.
  package = (if derivation == null then { } else { ${output} = package; }) // {
    type = "derivation";
    inherit name;
    outPath = if derivation == null then path else builtins.appendContext path { ${derivation}.outputs = [ output ]; };
    meta = { };
  } // (if derivation == null then { } else {
    outputName = output;
    outputs = [ output ];
  });
in
package
