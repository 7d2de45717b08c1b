# Stands for hostenv in the examples: makes of a project's environments as much
# of hostenv's evaluated configuration as a provider's plan looks at.
#
#   evaluate { organisation; project; hostenvHostname; root; }
#            { defaultEnvironment; users; environments; }
#
# An environment says `type`, `virtualHosts`, and where it differs `gitRef`,
# `users` and `enable`; `primary` is the host name that its own one redirects to.
{ organisation, project, hostenvHostname, root }:
{ defaultEnvironment, users, environments }:
let
  inherit (builtins) filter isString replaceStrings split stringLength substring;

  words = text: filter (word: isString word && word != "") (split "[^A-Za-z0-9]+" text);

  # slug "feature/main/add-exciting-feature" is "add": as many words of the
  # last part as fit into eleven letters.
  slug = name:
    let
      parts = filter isString (split "/" name);
      all = words (builtins.elemAt parts (builtins.length parts - 1));
      first = builtins.head all;
      join = taken: word:
        if taken.full || stringLength "${taken.text}-${word}" > 11 then taken // { full = true; }
        else taken // { text = "${taken.text}-${word}"; };
    in
    if stringLength first > 11 then substring 0 11 first
    else (builtins.foldl' join { full = false; text = first; } (builtins.tail all)).text;

  virtualHost = type: host: {
    allowIndexing = type == "production";
    enableLetsEncrypt = true;
    globalRedirect = null;
    redirectCode = 301;
    locations = { };
  } // host;

  environment = name: declared:
    let
      type = declared.type or "development";
      hash = builtins.hashString "sha256" "${organisation}-${project}-${name}\n";
      userName = "${slug project}-${slug name}-${substring 0 7 hash}";
      hostname = "${userName}.${hostenvHostname}";
    in
    {
      enable = declared.enable or true;
      inherit type;
      users = declared.users or users;
      virtualHosts = builtins.mapAttrs (_: virtualHost type) ({
        ${hostname}.globalRedirect = declared.primary or null;
      } // declared.virtualHosts or { });
      hostenv = {
        inherit organisation project hostenvHostname root userName hostname;
        environmentName = name;
        safeEnvironmentName = replaceStrings [ "/" ] [ "-" ] name;
        gitRef = declared.gitRef or name;
        projectNameHash = hash;
        runtimeDir = "/run/hostenv/user/${userName}";
        upstreamRuntimeDir = "/run/hostenv/nginx/${userName}";
        dataDir = "/home/${userName}/.local/share";
        stateDir = "/home/${userName}/.local/state";
        cacheDir = "/home/${userName}/.cache";
        backupsSecretFile = "/run/secrets/${userName}/backups_secret";
        backupsEnvFile = "/run/secrets/${userName}/backups_env";
        backupsRepoHost = null;
      };
    };
in
{
  inherit defaultEnvironment;
  environments = builtins.mapAttrs environment environments;
}
