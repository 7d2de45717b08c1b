# A replacement for nixpkgs made of Debian's packages, enough for NixOS's modules to
# be built into a system that runs.
#
# Each package is a store path with the files that Debian's packages have
# (debs.nix); their programs find libraries and other absolute paths in the
# Debian tree that a node has below /usr. Everything else that modules ask of
# nixpkgs makes files: writeText, runCommand, buildEnv and their like, as real
# derivations. Builders are Debian's bash and perl, run without a sandbox in the
# same tree.
#
#   lib       nixpkgs' own
#   names     the names of packages that NixOS's modules mention. One that
#             no Debian package replaces is a derivation that fails and names itself
#   versions  of the Debian packages in the tree, by name
#   builders  the folder of what derivations run
#   programs  a folder of programs that neither Debian nor nixpkgs built
{ lib, names, versions, builders, programs, system ? "x86_64-linux" }:
let
  inherit (lib) isFunction isAttrs isList isString optionalString concatStringsSep concatMapStringsSep filterAttrs mapAttrs;
  debs = import ./debs.nix;

  script = name: builtins.path { path = builders + "/${name}"; inherit name; };
  setup = script "setup.sh";

  # derive attrs: a derivation whose `buildCommand` runs after setup.sh
  derive = attrs: derivation (removeAttrs attrs [ "passthru" "meta" "passAsFile" ] // {
    inherit system;
    builder = "/bin/bash";
    args = [ "-c" "source ${setup}; build" ];
    passAsFile = [ "buildCommand" ] ++ attrs.passAsFile or [ ];
  });

  outputs = [ "out" "bin" "lib" "dev" "man" "doc" "info" "debug" "data" "static" "terminfo" "getent" "login" "mount" "swap" "dist" "p11kit" "unbundled" "hashed" "networkd" "libc" "fonts" "tools" "scripts" "completion" "su" "kmod" "service" "server" "client" "minimal" ];

  # package name drv extra: what modules expect of a package, around a derivation
  package = name: drv: extra:
    let
      self = drv // lib.genAttrs outputs (_: self) // {
        pname = name;
        version = extra.version or "1";
        meta = { mainProgram = name; available = true; priority = 5; outputsToInstall = [ "out" ]; platforms = lib.platforms.all; } // extra.meta or { };
        passthru = { };
        outputs = [ "out" ];
        override = _: self;
        overrideAttrs = _: self;
        overrideDerivation = _: self;
        withPackages = _: self;
        withPlugins = _: self;
        tests = { };
      } // removeAttrs extra [ "meta" ];
    in
    self;

  # missing name extra: what fails when it is built, and not before.
  missing = name: extra: package name (derive { inherit name; buildCommand = "echo 'no Debian package replaces ${name}: add it to debs.nix' >&2; exit 1"; missing = name; }) extra;
  version = deb: versions.${deb} or "none";
  upstream = v: let m = builtins.match "([0-9]+:)?([0-9][0-9.]*[0-9]).*" v; in if m == null then "1" else lib.elemAt m 1;

  # deb name extra: the package `name`, as the files of the Debian packages that stand for it
  deb = name: { post ? "", ... }@extra:
    let
      list = debs.${name};
      v = if list == [ ] then "0" else upstream (version (lib.head list));
    in
    package name
      (derive {
        name = "${name}-${v}";
        debs = list;
        debVersions = map version list;      # another version, another store path
        buildCommand = "perl ${script "deb.pl"}\n" + post;
      })
      ({ version = v; } // removeAttrs extra [ "post" ]);

  # mkDerivation as far as modules and packages of scripts use it
  mkDerivation = fn:
    let
      attrs = if isFunction fn then lib.fix fn else fn;
      phases = concatMapStringsSep "\n" (p: attrs.${p} or "") [ "unpackPhase" "patchPhase" "configurePhase" "preBuild" "buildPhase" "preInstall" "installPhase" "postInstall" "preFixup" "fixupPhase" "postFixup" ];
      clean = removeAttrs attrs [ "passthru" "meta" "src" ];
      # Lazy: passthru must not force what the builder is given.
      drv = derive (clean // {
        __ignoreNulls = true;
        name = lib.strings.sanitizeDerivationName (builtins.unsafeDiscardStringContext (attrs.name or "${attrs.pname}-${attrs.version or "1"}"));
        buildCommand = attrs.buildCommand or ((optionalString (attrs ? src && !(attrs.dontUnpack or false)) "cp -r --no-preserve=mode $src source; if [ -d source ]; then cd source; fi\n") + phases);
      } // lib.optionalAttrs (attrs ? src) { inherit (attrs) src; });
    in
    package (attrs.pname or attrs.name) drv ({
      overrideAttrs = f: mkDerivation (attrs // (if isFunction f then (let r = f attrs; in if isFunction r then f { } attrs else r) else f));
      meta = attrs.meta or { };
      passthru = attrs.passthru or { };
    } // attrs.passthru or { });

  runCommand = name: env: text: mkDerivation (env // { inherit name; buildCommand = text; });
  writeTextFile = { name, text, executable ? false, destination ? "", checkPhase ? "", meta ? { }, ... }:
    mkDerivation {
      inherit name text meta;
      passAsFile = [ "text" ];
      buildCommand = ''
        target=$out${destination}
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        ${optionalString executable ''chmod +x "$target"''}
        eval "$checkPhase"
      '';
      inherit checkPhase;
    };
  writeText = name: text: writeTextFile { inherit name; text = if isString text then text else "${text}"; };
  bin = name: { destination = "/bin/${name}"; executable = true; meta.mainProgram = name; };
  shellText = text: "#!${self.runtimeShell}\n${text}";

  atom = with lib.types; nullOr (oneOf [ bool int float str ]);
  json = with lib.types; nullOr (oneOf [ bool int float str path (attrsOf json) (listOf json) ]) // { description = "JSON-like value"; };
  ini = { listsAsDuplicateKeys ? false, listToValue ? null, ... }@args:
    let a = if listsAsDuplicateKeys || listToValue != null then lib.types.either atom (lib.types.listOf atom) else atom; in
    {
      type = lib.types.attrsOf (lib.types.attrsOf a);
      lib.types.atom = a;
      generate = name: value: writeText name (lib.generators.toINI (removeAttrs args [ "listToValue" "atomsCoercedToLists" ])
        (if listToValue == null then value else mapAttrs (_: mapAttrs (_: v: if isList v then listToValue v else v)) value));
    };
  formats = {
    json = _: { type = json; generate = name: value: writeText name (builtins.toJSON value); };
    yaml = formats.json;
    yaml_1_1 = formats.json;
    toml = _: { type = lib.types.attrsOf json; generate = name: _: missing "toml-${name}" { }; };
    inherit ini;
    gitIni = _: { type = lib.types.attrsOf (lib.types.attrsOf json); generate = name: value: writeText name (lib.generators.toGitINI value); };
    iniWithGlobalSection = _: { type = lib.types.submodule { options = { sections = lib.mkOption { type = lib.types.attrsOf (lib.types.attrsOf json); default = { }; }; globalSection = lib.mkOption { type = lib.types.attrsOf json; default = { }; }; }; }; generate = name: value: writeText name (lib.generators.toINIWithGlobalSection { } value); };
    systemd = ini { listsAsDuplicateKeys = true; };
    keyValue = { listsAsDuplicateKeys ? false, listToValue ? null, ... }@args: {
      type = lib.types.attrsOf (if listsAsDuplicateKeys || listToValue != null then lib.types.coercedTo atom lib.singleton (lib.types.listOf atom) else atom);
      generate = name: value: writeText name (lib.generators.toKeyValue (removeAttrs args [ "listToValue" ]) (if listToValue == null then value else mapAttrs (_: listToValue) value));
    };
  } // lib.genAttrs [ "elixirConf" "hocon" "javaProperties" "pythonVars" "php" "libconfig" "lua" ] (kind: _: {
    type = lib.types.attrsOf lib.types.anything;
    lib = lib.genAttrs [ "mkRaw" "mkGetEnv" "mkAtom" "mkTuple" "mkMap" "mkInclude" "mkAppend" "mkSubstitution" "mkHex" "mkOctal" "mkFloat" "mkArray" "mkList" "mkMixedArray" ] (_: x: x) // { types = lib.genAttrs [ "atom" "rawElixir" "tuple" "map" ] (_: lib.types.anything); };
    generate = name: _: missing "${kind}-${name}" { };
  });

  buildEnv = { name, paths, pathsToLink ? [ "/" ], ignoreCollisions ? false, extraPrefix ? "", postBuild ? "", extraOutputsToInstall ? [ ], ... }:
    mkDerivation {
      inherit name pathsToLink ignoreCollisions extraPrefix;
      trees = lib.concatMap (p: [ "${p}" (toString (p.meta.priority or 5)) ]) (lib.filter (p: p != null) paths);
      paths = map (p: "${p}") (lib.filter (p: p != null) paths);
      passAsFile = [ "trees" "paths" ];
      buildCommand = "perl ${script "build-env.pl"}\n" + postBuild;
      passthru = { inherit paths ignoreCollisions postBuild; };
    };

  platform = lib.systems.elaborate system;
  stdenv = filterAttrs (n: _: lib.hasPrefix "is" n) platform // {
    inherit mkDerivation system;
    hostPlatform = platform; buildPlatform = platform; targetPlatform = platform;
    cc = self.gcc // { cc = self.gcc; libc = self.glibc; bintools = self.gcc // { dynamicLinker = "/lib64/ld-linux-x86-64.so.2"; }; };
    shell = "/bin/bash";
  };

  kernel = missing "linux" { version = "6.12.0"; modDirVersion = "6.12.0"; kernelOlder = lib.versionOlder "6.12.0"; kernelAtLeast = lib.versionAtLeast "6.12.0"; baseVersion = "6.12"; isHardened = false; isZen = false; isLibre = false;
    features = { ia32Emulation = true; efiBootStub = true; }; configEnv = { }; target = "bzImage";
    config = { isYes = _: true; isNo = _: false; isEnabled = _: true; isModule = _: true; isDisabled = _: false; isSet = _: true; };
  };
  linuxPackages = lib.genAttrs names (n: missing "linux-${n}" { }) // { inherit kernel stdenv; extend = _: linuxPackages; recurseForDerivations = true; kernelOlder = kernel.kernelOlder; kernelAtLeast = kernel.kernelAtLeast; };

  callPackageWith = scope: f: args:
    let fn = if isFunction f then f else import f; in
    fn (lib.mapAttrs (n: _: scope.${n} or (missing n { })) (filterAttrs (n: optional: !optional || real ? ${n}) (lib.functionArgs fn)) // args);

  sets = lib.genAttrs [ "vimPlugins" "xorg" "gnome" "kdePackages" "libsForQt5" "plasma5Packages" "haskellPackages" "ocamlPackages" "rubyPackages" "nodePackages" "lua5Packages" "nginxModules" "perlPackages" "python3Packages" "linuxKernel" "nixVersions" "php" "rustPlatform" "dockerTools" "nixos-artwork" ] (s: fakes // { recurseForDerivations = false; });
  fakes = lib.genAttrs (names ++ [ "xonsh" "more" "hexdump" ]) (n: missing n { });
  debian = mapAttrs (n: _: deb n { }) debs;

  real = removeAttrs self (lib.subtractLists (lib.attrNames debs) names);   # for optional arguments: no stand-ins

  # programs that nixpkgs has and Debian has not
  tool = name: text: writeTextFile (bin name // { inherit name; text = shellText text; });

  self = fakes // sets // debian // {
    _type = "pkgs";
    ofDebian = lib.attrNames debs ++ [ "nginxMainline" "minica" ];
    inherit lib system stdenv formats runCommand writeText writeTextFile buildEnv linuxPackages mkDerivation deb missing;
    pkgs = self;
    stdenvNoCC = stdenv;
    __splicedPackages = self;
    config = { allowUnfree = false; allowAliases = true; };
    overlays = [ ];
    path = "/nixpkgs";
    appendOverlays = _: self;
    extend = _: self;
    inherit (stdenv) hostPlatform buildPlatform targetPlatform;
    callPackage = callPackageWith self;
    callPackages = callPackageWith self;
    newScope = extra: callPackageWith (self // extra);
    linuxPackagesFor = _: linuxPackages;
    linuxPackages_latest = linuxPackages;
    linuxKernel = { packageAliases.linux_default = linuxPackages; packages = { }; kernels = { }; packagesFor = _: linuxPackages; };

    # makers
    runCommandLocal = runCommand;
    runCommandCC = runCommand;
    writeTextDir = path: text: writeTextFile { name = baseNameOf path; destination = "/${path}"; inherit text; };
    writeScript = name: text: writeTextFile { inherit name text; executable = true; };
    writeScriptBin = name: text: writeTextFile (bin name // { inherit name text; });
    writeShellScript = name: text: writeTextFile { inherit name; executable = true; text = shellText text; };
    writeShellScriptBin = name: text: tool name text;
    writeShellApplication = { name, text, runtimeInputs ? [ ], ... }: tool name "set -euo pipefail\n${optionalString (runtimeInputs != [ ]) "export PATH=${lib.makeBinPath runtimeInputs}:$PATH\n"}\n${text}";
    substituteAll = { src, name ? baseNameOf (toString src), isExecutable ? false, dir ? "", postInstall ? "", ... }@args:
      mkDerivation (filterAttrs (_: v: v != null && !(isFunction v)) (removeAttrs args [ "meta" "passthru" ]) // {
        inherit name;
        buildCommand = ''
          target=$out${optionalString (dir != "") "/${dir}/${name}"}
          mkdir -p "$(dirname "$target")"
          substituteAll "$src" "$target"
          ${optionalString isExecutable ''chmod +x "$target"''}
          eval "$postInstall"
        '';
      });
    replaceVars = src: vars: mkDerivation { name = baseNameOf (toString src); inherit src; buildCommand = "substitute $src $out ${concatStringsSep " " (lib.mapAttrsToList (n: v: "--subst-var-by ${n} ${lib.escapeShellArg "${v}"}") vars)}"; };
    replaceVarsWith = { src, replacements, isExecutable ? false, name ? baseNameOf (toString src), dir ? "", ... }: mkDerivation { inherit name src; buildCommand = "target=$out${optionalString (dir != "") "/${dir}/${name}"}; mkdir -p \"$(dirname $target)\"; substitute $src $target ${concatStringsSep " " (lib.mapAttrsToList (n: v: "--subst-var-by ${n} ${lib.escapeShellArg "${v}"}") replacements)}; ${optionalString isExecutable "chmod +x $target"}"; };
    substitute = { src, name ? baseNameOf (toString src), substitutions ? [ ], replacements ? [ ], ... }: mkDerivation { inherit name src; buildCommand = "substitute $src $out ${lib.escapeShellArgs (lib.flatten (substitutions ++ replacements))}"; };
    concatText = name: files: runCommand name { inherit files; } "cat $files > $out";
    concatTextFile = { name, files, executable ? false, destination ? "", ... }: runCommand name { inherit files; } "mkdir -p \"$(dirname $out${destination})\"; cat $files > $out${destination}; ${optionalString executable "chmod +x $out${destination}"}";
    symlinkJoin = { name, paths, postBuild ? "", ... }: buildEnv { inherit name paths postBuild; ignoreCollisions = true; };
    linkFarm = name: entries: runCommand name { } ("mkdir -p $out\n" + concatMapStringsSep "\n" (e: "mkdir -p \"$(dirname $out/${lib.escapeShellArg e.name})\"; ln -s ${e.path} $out/${lib.escapeShellArg e.name}") (if isList entries then entries else lib.mapAttrsToList (name: path: { inherit name path; }) entries));
    linkFarmFromDrvs = name: drvs: self.linkFarm name (map (d: { inherit (d) name; path = d; }) drvs);
    writers = {
      # nixpkgs reformats and lints; here it is written down as it is
      writeNginxConfig = writeText;
      writeBash = name: text: self.writeScript name (shellText text);
      writeBashBin = name: text: tool name text;
      writeDash = name: text: self.writeScript name (shellText text);
      writeJSON = name: value: writeText name (builtins.toJSON value);
      writeText = writeText;
    };
    makeWrapper = package "make-wrapper" (runCommand "make-wrapper" { } "mkdir -p $out/nix-support; echo : > $out/nix-support/setup-hook") { };   # setup.sh has its functions
    makeBinaryWrapper = self.makeWrapper;
    makeDBusConf = { suidHelper, serviceDirectories, ... }: runCommand "dbus-1" { inherit suidHelper serviceDirectories; } "source ${script "dbus-conf.sh"}";
    makeFontsConf = _: writeText "fonts.conf" "";
    makeModulesClosure = _: missing "modules-closure" { };
    makeInitrd = _: missing "initrd" { compressorExecutableFunction = _: "/bin/zstd"; compressorArgs = [ ]; };
    makeInitrdNG = self.makeInitrd;
    makeSetupHook = a: s: missing (a.name or "hook") { };
    aggregateModules = _: runCommand "kernel-modules" { } "mkdir -p $out/lib/modules";
    compressFirmwareZstd = x: x; compressFirmwareXz = x: x;
    closureInfo = { rootPaths, ... }: missing "closure-info" { };
    writeClosure = _: missing "closure" { };
    srcOnly = p: mkDerivation { name = "${p.pname}-src"; buildCommand = ''mkdir -p sysdeps/generic; cp ${script "unsecvars.h"} sysdeps/generic/unsecvars.h; eval "$installPhase"''; };
    fetchurl = a: missing (a.name or "source") { }; fetchFromGitHub = a: missing "source" { }; fetchgit = a: missing "source" { }; fetchpatch = a: missing "patch" { }; fetchzip = a: missing "source" { };
    nixosOptionsDoc = _: { optionsCommonMark = missing "options-md" { }; optionsJSON = missing "options-json" { }; optionsNix = { }; };
    mkShell = _: missing "shell" { };

    # packages that are more than their files
    runtimeShell = "${self.bash}/bin/bash"; runtimeShellPackage = self.bash;
    bash = deb "bash" { shellPath = "/bin/bash"; post = "ln -sfn bash $out/bin/sh"; };
    bashInteractive = deb "bashInteractive" { shellPath = "/bin/bash"; post = "ln -sfn bash $out/bin/sh"; };
    coreutils = deb "coreutils" { post = "cp -p /usr/bin/{kill,uptime} $out/bin/"; };   # procps has these in Debian
    coreutils-full = self.coreutils;
    zsh = missing "zsh" { shellPath = "/bin/zsh"; }; fish = missing "fish" { shellPath = "/bin/fish"; };
    shadow = deb "shadow" { shellPath = "/bin/nologin"; su = self.util-linux; };
    perl = deb "perl" { withPackages = _: self.perl; pkgs = self.perlPackages; libPrefix = "lib/perl5"; post = "cp -a /usr/bin/perl $out/bin/"; };   # Debian's perl finds its modules below /usr
    perlPackages = fakes // { makePerlPath = _: ""; makeFullPerlPath = _: ""; perl = self.perl; };
    gcc = missing "gcc" { };
    glibcLocales = package "glibc-locales" (runCommand "glibc-locales" { } "mkdir -p $out/lib/locale; : > $out/lib/locale/locale-archive") { };   # nodes speak C.UTF-8
    cacert =
      let
        make = { extraCertificateFiles ? [ ], extraCertificateStrings ? [ ], ... }:
          package "cacert" (runCommand "nss-cacert" { files = map (f: "${f}") extraCertificateFiles; strings = concatStringsSep "\n" extraCertificateStrings; } ''
            mkdir -p $out/etc/ssl/certs
            (cat /etc/ssl/certs/ca-certificates.crt $files; echo "$strings") > $out/etc/ssl/certs/ca-bundle.crt
          '') { override = make; };
      in
      make { };
    libxcrypt = missing "libxcrypt" { enabledCryptSchemeIds = [ "y" "gy" "7" "2b" "2y" "2a" "6" ]; };
    nginx = deb "nginx" { modules = [ ]; passthru.tests = { }; post = "mkdir -p $out/conf; cp /etc/nginx/{fastcgi.conf,*_params,mime.types} $out/conf/"; };
    mailcap = deb "mailcap" { post = "install -D -m 444 /etc/nginx/mime.types $out/etc/nginx/mime.types"; };
    nginxStable = self.nginx;
    # The same program at another path, as a new release of nginx has.
    nginxMainline = deb "nginx" { modules = [ ]; passthru.tests = { }; post = "mkdir -p $out/conf; cp /etc/nginx/{fastcgi.conf,*_params,mime.types} $out/conf/; echo mainline >$out/conf/release"; };
    nix = deb "nix" { post = ''rm -rf $out/etc; echo 'd /nix/var/nix/daemon-socket 0755 root root - -' > $out/lib/tmpfiles.d/nix-daemon.conf''; };   # Debian lets a group of its own use it
    nixVersions = { stable = self.nix; latest = self.nix; };
    systemd = deb "systemd" ({ post = "source ${script "systemd.sh"}"; kmod = self.kmod; util-linux = self.util-linux; interfaceVersion = 2; withLogind = true; withNetworkd = true; withPam = true; withCompression = true; withResolved = true; withTimesyncd = true; withHostnamed = true; withLocaled = true; withTimedated = true; withCoredump = false; withUtmp = false; }
      // lib.genAttrs [ "withHomed" "withPortabled" "withImportd" "withUkify" "withBootloader" "withSysupdate" "withCryptsetup" "withRepart" "withEfi" "withMachined" "withNspawn" "withTpm2Tss" "withTpm2Units" "withDocumentation" "withVConsole" ] (_: false));
    systemdMinimal = self.systemd; systemdUkify = self.systemd;
    dbus = deb "dbus" { post = "source ${script "units.sh"}; mkdir -p $out/libexec; ln -s ../lib/dbus-1.0/dbus-daemon-launch-helper $out/libexec/"; };
    unixtools = fakes // { inherit (self) xxd; };
    xorg = sets.xorg // { xauth = self.xauth; lndir = package "lndir" (tool "lndir" "shopt -s dotglob nullglob; cp -rs --remove-destination \"$1\"/* \"\${2:-.}\"/") { }; };
    nixos-firewall-tool = tool "nixos-firewall-tool" "echo not on a node of tests; exit 1";
    nix-info = tool "nix-info" "nix --version";
    nixos-artwork.wallpapers = lib.genAttrs [ "simple-dark-gray-bootloader" "simple-dark-gray-bottom" "simple-dark-gray" ] (n: missing n { gnomeFilePath = "/x.png"; });
    php = missing "php" { extensions = fakes; buildEnv = _: self.php; withExtensions = _: self.php; packages = fakes; };
    python3 = deb "python3" { pkgs = fakes; sitePackages = "lib/python3.13/site-packages"; withPackages = _: self.python3; buildEnv.override = _: self.python3; interpreter = "/usr/bin/python3"; pythonVersion = "3.13"; };
    python3Packages = fakes // { python = self.python3; makePythonPath = _: ""; };
    jdk = missing "jdk" { home = "/jdk"; };
    git = deb "git" { }; gitMinimal = self.git;
    # Programs that were built before: of Go modules, and of this repository.
    prebuilt = name: package name (runCommand name { } "install -D -m 555 ${builtins.path { path = programs + "/${name}"; inherit name; }} $out/bin/${name}") { };
    lego = if builtins.pathExists (programs + "/lego") then self.prebuilt "lego" else deb "lego" { };   # Debian's has no provider for Cloudflare
    minica = tool "minica" "PATH=${self.openssl}/bin:${self.coreutils}/bin\n${builtins.readFile (builders + "/minica.sh")}";
    buildGoModule = a: self.prebuilt a.pname;
    buildGo125Module = self.buildGoModule;
  }
  // lib.genAttrs [ "pkgsBuildBuild" "pkgsBuildHost" "buildPackages" "targetPackages" "pkgsi686Linux" "pkgsStatic" "pkgsHostTarget" "pkgsMusl" ] (_: self)
  // { pkgsCross = { }; };
in
self
