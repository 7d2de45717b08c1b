# A package that wraps a built `hostenv` and replaces only `hostenv deploy`:
#
#   pkgs.callPackage "${hostenv-provider}/nix/hostenv-wrapper" {
#     hostenv = customer.packages.${system}.hostenv-cli;
#     deploy = "forward";
#   }
#
# The package's other files, such as completion, are kept.
{ symlinkJoin
, writeScript
, runtimeShell
, hostenv
, deploy ? "forward"
}:
let
  script = writeScript "hostenv-wrapper" (import ./script.nix {
    shell = runtimeShell;
    hostenv = "${hostenv}/bin/hostenv";
    inherit deploy;
  });
in
symlinkJoin {
  name = "hostenv-wrapper";
  paths = [ hostenv ];
  postBuild = ''
    rm $out/bin/hostenv
    ln -s ${script} $out/bin/hostenv
  '';
  meta.mainProgram = "hostenv";
}
