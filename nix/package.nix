# packages.hostenv-provider: the provider's targets as one static program.
#
#   pkgs.callPackage ./package.nix { version = self.shortRev or "dirty"; }
#
# nixpkgs' Go must be as new as that of go.mod. If its default is older, override
# buildGoModule with a newer one, such as pkgs.buildGo126Module.
{ lib
, buildGoModule
, version ? "unreleased"
}:
let
  # The sources of the program, without tests and this repository's own tasks, so that
  # a change of these does not rebuild it.
  source = builtins.path {
    name = "hostenv-provider-source";
    path = ../.;
    filter = path: type:
      let
        relative = lib.removePrefix (toString ../. + "/") (toString path);
        below = map (folder: folder + "/") [ "hostenv" "magefiles/launcher" "magefiles/provider" "magefiles/targets" ];
        # The list of parity is embedded, the rest of golden/ is not.
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

  # The hash of `go mod vendor`. After a change of go.mod or of an import, run
  #   go test ./nix/tests -run=TestPackage -update
  vendorHash = "sha256-VrjLj0E4jZEFJpsNvFWlthTSS+Q5HlORU6nqjQ08iio=";

  # Mage generates the main function from the targets that
  # magefiles/provider/magefile.go imports, and builds it.
  buildPhase = ''
    runHook preBuild
    export CGO_ENABLED=0
    go tool mage -d magefiles/provider -compile "$PWD/hostenv-provider" \
      -ldflags "-s -w -buildid= -X github.com/woolwichweb/hostenv-provider/magefiles/launcher.version=${version}"
    runHook postBuild
  '';

  # The tests need git and Nix; `go tool mage test` runs them.
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
