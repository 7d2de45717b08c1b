# Options of hostenv's own provider module that this one does not have, and the lines
# that replace each here. They are refused, all at once: a provider would rely on a
# port, a roll-back or a token that we silently ignored.
let
  fail = import ./fail.nix;

  inherit (builtins) attrNames concatMap concatStringsSep foldl' isAttrs isBool isFunction isInt isList isPath isString match toJSON;

  # show value: the value as Nix code, "..." for a value without one.
  show = value:
    if value == null then "null"
    else if isBool value then (if value then "true" else "false")
    else if isInt value then toString value
    else if isString value then builtins.replaceStrings [ "\${" ] [ "\\\${" ] (toJSON (builtins.unsafeDiscardStringContext value))
    else if isList value then "[ ${concatStringsSep "" (map (item: show item + " ") value)}]"
    else if isPath value then "./${within value}"
    else if isAttrs value then "{ ${concatStringsSep "" (map (name: "${quoted name} = ${show value.${name}}; ") (attrNames value))}}"
    else "...";

  # quoted name: an attribute's name in an attribute path.
  quoted = name: if match "[A-Za-z_][A-Za-z0-9_'-]*" name != null then name else toJSON name;

  # within path: a path relative to the flake's folder in the store.
  within = path:
    let
      text = builtins.unsafeDiscardStringContext (toString path);
      inStore = match ".*/[0-9a-z]{32}-[^/]*/(.*)" text;
    in
    if inStore == null then text else builtins.head inStore;

  # ofNodes field: an option by node, or for all nodes, is an option of the node here.
  ofNodes = field: value:
    if isAttrs value then map (node: "nodes.${quoted node}.${field} = ${show value.${node}};") (attrNames value)
    else [ "nodes.<node>.${field} = ${show value}; for each node" ];

  # file name: state.json and plan.json are in one folder.
  file = name: value:
    let
      path = within value;
      folder = match "(.*)/([^/]*)" path;
    in
    if path == "generated/${name}" then [ "nothing: this is the default" ]
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

  # Each option's attribute path, and the lines that replace it, by its value.
  options = [
    { path = [ "nodeSystems" ]; lines = ofNodes "system"; }
    { path = [ "nodeAddresses" ]; lines = ofNodes "address"; }
    { path = [ "nodeSshPorts" ]; lines = ofNodes "sshPort"; }
    { path = [ "nodeSshOpts" ]; lines = ofNodes "sshOpts"; }
    { path = [ "nodeRemoteBuild" ]; lines = ofNodes "remoteBuild"; }
    { path = [ "nodeMagicRollback" ]; lines = ofNodes "magicRollback"; }
    { path = [ "nodeAutoRollback" ]; lines = ofNodes "autoRollback"; }
    { path = [ "statePath" ]; lines = file "state.json"; }
    { path = [ "planPath" ]; lines = file "plan.json"; }
    { path = [ "planSource" ]; lines = nothing "only `mage plan` makes a plan, generated/plan.json"; }
    { path = [ "generatedFlake" ]; lines = generatedFlake; }
    { path = [ "haskellDevPackages" ]; lines = nothing "no program here is in Haskell"; }
    {
      path = [ "letsEncrypt" "enable" ];
      lines = value:
        if value == false then [ "enableLetsEncrypt = false; at each virtual host of the projects" ]
        else [ "nothing: certificates are issued for the virtual hosts that ask for one, once letsEncrypt.acceptTerms is true" ];
    }
    {
      path = [ "cloudflare" "apiTokenFile" ];
      lines = _: [ "cloudflare.apiTokenSecret = \"cloudflare/api_token\"; a key of the sops file, or set CF_API_TOKEN for `mage dnsGate`" ];
    }
  ];

  # get path set: the value at the path, null if there is none.
  get = path: set: foldl' (value: name: if isAttrs value then value.${name} or null else null) set path;

  # without path set: the set without the value at the path.
  without = path: set:
    let name = builtins.head path; in
    if ! isAttrs set || ! (set ? ${name}) then set
    else if builtins.length path == 1 then removeAttrs set [ name ]
    else set // { ${name} = without (builtins.tail path) set.${name}; };
in
{
  paths = map (option: option.path) options;

  # refuse provider: the provider without those of these options that are null, or an
  # error if it has others.
  refuse = provider:
    let
      used = builtins.filter (option: get option.path provider != null) options;
      name = option: concatStringsSep "." option.path;
      lines = concatMap (option: map (line: "\n  ${name option}: ${line}") (option.lines (get option.path provider))) used;
    in
    if used != [ ] then
      fail {
        subject = "provider";
        problem = "${concatStringsSep ", " (map name used)}: options of hostenv's own provider module, which this one does not have";
        hint = "write below `provider`, in place of${concatStringsSep "" lines}";
      }
    else foldl' (set: option: without option.path set) provider options;
}
