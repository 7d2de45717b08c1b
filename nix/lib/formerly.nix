# Options of hostenv's own provider module that this one does not have, and the
# line that stands for each here. They are refused, all at once: an option that
# is passed over in silence would be a port, a roll-back or a token that the
# provider believes to have.
let
  fail = import ./fail.nix;

  inherit (builtins) attrNames concatMap concatStringsSep foldl' isAttrs isBool isFunction isInt isList isPath isString match toJSON;

  # show value: the value as it is written in Nix, "..." for what has no text.
  show = value:
    if value == null then "null"
    else if isBool value then (if value then "true" else "false")
    else if isInt value then toString value
    else if isString value then builtins.replaceStrings [ "\${" ] [ "\\\${" ] (toJSON (builtins.unsafeDiscardStringContext value))
    else if isList value then "[ ${concatStringsSep "" (map (item: show item + " ") value)}]"
    else if isPath value then "./${within value}"
    else if isAttrs value then "{ ${concatStringsSep "" (map (name: "${quoted name} = ${show value.${name}}; ") (attrNames value))}}"
    else "...";

  # quoted name: an attribute's name as it is written in a path of attributes.
  quoted = name: if match "[A-Za-z_][A-Za-z0-9_'-]*" name != null then name else toJSON name;

  # within path: a path without the folder in the store that the flake lies in.
  within = path:
    let
      text = builtins.unsafeDiscardStringContext (toString path);
      inStore = match ".*/[0-9a-z]{32}-[^/]*/(.*)" text;
    in
    if inStore == null then text else builtins.head inStore;

  # ofNodes field: what was said for each node, or for all of them, is said of
  # the node itself.
  ofNodes = field: value:
    if isAttrs value then map (node: "nodes.${quoted node}.${field} = ${show value.${node}};") (attrNames value)
    else [ "nodes.<node>.${field} = ${show value}; for each node" ];

  # file name: state.json and plan.json lie in one folder.
  file = name: value:
    let
      path = within value;
      folder = match "(.*)/([^/]*)" path;
    in
    if path == "generated/${name}" then [ "nothing: it is where ${name} lies" ]
    else [
      "generatedPath = ./${if folder == null then "." else builtins.head folder}; the folder of state.json and plan.json"
    ];

  nothing = reason: _: [ "nothing: ${reason}" ];

  generatedFlake = value:
    let
      inputs = value.inputs or { };
      follows = value.envInputs.follows or { };
    in
    map (name: "inputs.${quoted name} = ${show inputs.${name}}; among the inputs of flake.nix") (attrNames inputs)
    ++ map (name: "overrides.${quoted name} = inputs.${quoted (if isString follows.${name} then follows.${name} else name)};") (attrNames follows)
    ++ (if value ? envInputs.extra then [ "overrides.<input> = inputs.<input>; for each input that it gave to an environment" ] else [ ])
    ++ (if inputs == { } && follows == { } && ! (value ? envInputs.extra) then [ "nothing: no flake is generated" ] else [ ]);

  # Where each option is, and now: what is written in its place, by its value.
  options = [
    { path = [ "nodeSystems" ]; now = ofNodes "system"; }
    { path = [ "nodeAddresses" ]; now = ofNodes "address"; }
    { path = [ "nodeSshPorts" ]; now = ofNodes "sshPort"; }
    { path = [ "nodeSshOpts" ]; now = ofNodes "sshOpts"; }
    { path = [ "nodeRemoteBuild" ]; now = ofNodes "remoteBuild"; }
    { path = [ "nodeMagicRollback" ]; now = ofNodes "magicRollback"; }
    { path = [ "nodeAutoRollback" ]; now = ofNodes "autoRollback"; }
    { path = [ "statePath" ]; now = file "state.json"; }
    { path = [ "planPath" ]; now = file "plan.json"; }
    { path = [ "planSource" ]; now = nothing "a plan is made by `mage plan` alone, and read from generated/plan.json"; }
    { path = [ "generatedFlake" ]; now = generatedFlake; }
    { path = [ "haskellDevPackages" ]; now = nothing "no program here is in Haskell"; }
    {
      path = [ "letsEncrypt" "enable" ];
      now = value:
        if value == false then [ "enableLetsEncrypt = false; at each virtual host of the projects, which are what asks for certificates" ]
        else [ "nothing: certificates are issued for the virtual hosts that ask for one, once letsEncrypt.acceptTerms is true" ];
    }
    {
      path = [ "cloudflare" "apiTokenFile" ];
      now = _: [ "cloudflare.apiTokenSecret = \"cloudflare/api_token\"; a key of the sops file, or set CF_API_TOKEN for `mage dnsGate`" ];
    }
  ];

  # get path set: the value there, null where there is none.
  get = path: set: foldl' (value: name: if isAttrs value then value.${name} or null else null) set path;

  # without path set: the set without what is there.
  without = path: set:
    let name = builtins.head path; in
    if ! isAttrs set || ! (set ? ${name}) then set
    else if builtins.length path == 1 then removeAttrs set [ name ]
    else set // { ${name} = without (builtins.tail path) set.${name}; };
in
{
  paths = map (option: option.path) options;

  # refuse provider: the provider, if it has none of these options. One that is
  # null is left out.
  refuse = provider:
    let
      used = builtins.filter (option: get option.path provider != null) options;
      name = option: concatStringsSep "." option.path;
      lines = concatMap (option: map (line: "\n  ${name option}: ${line}") (option.now (get option.path provider))) used;
    in
    if used != [ ] then
      fail {
        subject = "provider";
        problem = "${concatStringsSep ", " (map name used)}: options of hostenv's own provider module, which this one does not have";
        hint = "write below `provider`, in place of${concatStringsSep "" lines}";
      }
    else foldl' (set: option: without option.path set) provider options;
}
