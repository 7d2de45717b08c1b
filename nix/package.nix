# packages.hostenv-provider: the provider's targets as one static program.
#
#   pkgs.callPackage ./package.nix { version = self.shortRev or "dirty"; }
#
# The nixpkgs' Go must be as new as go.mod wants it; where its default is older,
# override buildGoModule with a newer one, such as pkgs.buildGo126Module.
{ lib
, buildGoModule
, version ? "unreleased"
}:
let
  # What the program is made of: neither tests nor this repository's own tasks,
  # so that it is not built anew for them.
  source = builtins.path {
    name = "hostenv-provider-source";
    path = ../.;
    filter = path: type:
      let
        relative = lib.removePrefix (toString ../. + "/") (toString path);
        below = map (folder: folder + "/") [ "hostenv" "magefiles/launcher" "magefiles/provider" "magefiles/targets" ];
        # Of golden/ the list of parity alone, which is embedded.
        single = [ "go.mod" "go.sum" "golden/golden.go" "golden/parity.json" ];
        name = baseNameOf path;
      in
      if type == "directory"
      then relative == "golden" || lib.any (folder: lib.hasPrefix folder (relative + "/") || lib.hasPrefix (relative + "/") folder) below && name != "testdata"
      else lib.elem relative single || lib.any (folder: lib.hasPrefix folder relative) below && ! lib.hasSuffix "_test.go" name;
  };
in
buildGoModule {
  pname = "hostenv-provider";
  inherit version;
  src = source;

  # Of `go mod vendor` in the source above. After a change of go.mod or of an import:
  #   go test ./nix/tests -run=TestPackage -update
  vendorHash = "sha256-YTuqVFaOT1ppMPvIIHN1eq7x9zqBttRWYXk+kmiOLlo=";

  # Mage generates the main function, of the targets that
  # magefiles/provider/magefile.go imports, and has Go build it.
  buildPhase = ''
    runHook preBuild
    export CGO_ENABLED=0
    go tool mage -d magefiles/provider -compile "$PWD/hostenv-provider" \
      -ldflags "-s -w -buildid= -X github.com/woolwichweb/hostenv-provider/magefiles/launcher.version=${version}"
    runHook postBuild
  '';

  # The tests want git and Nix; `go tool mage test` runs them.
  doCheck = false;

  installPhase = ''
    runHook preInstall
    install -D -m 755 hostenv-provider "$out/bin/hostenv-provider"
    share() { install -d "$out/share/''${1%/*}" && ./hostenv-provider "''${@:2}" >"$out/share/$1"; }
    share bash-completion/completions/hostenv-provider completion bash
    share zsh/site-functions/_hostenv-provider completion zsh
    share fish/vendor_completions.d/hostenv-provider.fish completion fish
    share man/man1/hostenv-provider.1 man
    runHook postInstall
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    "$out/bin/hostenv-provider" --version
    runHook postInstallCheck
  '';

  meta = {
    description = "Plans, gates and deploys a hosting provider's customers' projects";
    license = lib.licenses.mit;
    mainProgram = "hostenv-provider";
  };
}
