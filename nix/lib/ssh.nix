# How deploy-rs reaches a node: { hostname; sshOpts; }, translated from the plan's
# connection.
#
# `mage deploy` does not use this sshOpts: it writes an ssh_config from the same
# connection and gives deploy-rs that file. The options are for a deploy-rs that you
# run yourself (`deploy .#node-a`): it reaches the same host, with the same host key.
#
# deploy-rs gives the options to ssh one by one, and joined by spaces to Nix, which
# up to 2.26 splits them at every space: no option may hold one. The options of the
# host key precede the node's own, because ssh takes the first value of each option.
let
  inherit (builtins) concatLists concatStringsSep filter match toJSON;
  address = import ./address.nix;
  is = import ./is.nix;
  fail = import ./fail.nix;

  isOneWord = value: match "[^[:space:][:cntrl:]]+" value != null;
in
node: connection:
let
  refuse = problem: hint: fail { subject = "node ${node}"; inherit problem hint; };
  option = "provider.nodes.${toJSON node}";

  inherit (connection) hostname;
  own = connection.sshOpts or [ ];
  spaced = filter (word: ! isOneWord word) own;

  # ssh accepts only this host key, and ignores the known hosts of the machine that
  # deploys. The file is in the store, where no user can change it.
  pinned = key:
    if is.publicKey key then [
      "HostKeyAlias=${node}"
      "UserKnownHostsFile=${builtins.toFile "known-hosts" "${node} ${key}\n"}"
      "GlobalKnownHostsFile=/dev/null"
      "StrictHostKeyChecking=yes"
      "UpdateHostKeys=no"
    ]
    else
      refuse "hostKey is ${toJSON key}, which is not a public key"
        "set ${option}.hostKey to the line that `ssh-keyscan -t ed25519 HOST` prints, without the host";

  options = (if connection ? hostKey then pinned connection.hostKey else [ ])
    ++ (if address.isIPv6 hostname then [ "HostName=${address.ssh hostname}" ] else [ ]);
in
if spaced != [ ] then
  refuse "sshOpts holds ${concatStringsSep ", " (map toJSON spaced)}, and Nix splits ssh's options at every space"
    "write [ \"-o\" \"Option=value\" ] with a value without spaces, or put the option into a file and name that: [ \"-F\" \"/path/to/ssh_config\" ]"
else {
  hostname = address.deploy node hostname;
  sshOpts = concatLists (map (value: [ "-o" value ]) options)
    ++ (if connection ? sshPort then [ "-p" (toString connection.sshPort) ] else [ ])
    ++ own;
}
