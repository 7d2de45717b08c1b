# A package that stands before a `hostenv` that is already built, and takes
# nothing from it but `hostenv deploy`:
#
#   pkgs.callPackage "${hostenv-provider}/nix/hostenv-wrapper" {
#     hostenv = customer.packages.${system}.hostenv-cli;
#     deploy = "forward";
#   }
#
# What else the package holds, such as completion, stays.
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
