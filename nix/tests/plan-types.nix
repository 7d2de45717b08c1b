let
  typed = import ../lib/plan-types.nix "generated/plan.json";
  environment = {
    uid = 1002;
    node = "n1";
    authorizedKeys = [ ];
    virtualHosts = { };
    hostenv = { userName = "a"; organisation = "acme"; project = "site"; environmentName = "main"; };
  };
  plan = {
    environments.a = environment;
    profiles.a = { profileLink = "/p/a"; tempPath = "/t/a"; };
    nodes.n1 = { };
    nodeConnections.n1 = { hostname = "n1.hosting.example"; system = "x86_64-linux"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; autoRollback = true; magicRollback = true; };
    deployUser = "deploy";
    hostenvHostname = "hosting.example";
    future = 1;
  };
  of = change: (typed (plan // { environments.a = environment // change; })).environments.a;
  connected = change: (typed (plan // { nodeConnections.n1 = plan.nodeConnections.n1 // change; })).nodeConnections.n1;
in
{
  well = { expr = typed plan; expected = plan; };
  unknown = { expr = (of { future = [ 1 ]; }).future; expected = [ 1 ]; };
  null = { expr = (connected { sshPort = null; }).sshPort; expected = null; };
  lazy = { expr = (typed (plan // { environments = plan.environments // { b = 7; }; })).environments.a.uid; expected = 1002; };

  uid = { expr = of { uid = "1002"; }; error = ''generated/plan.json: environments.a.uid is "1002", which is not of type unsigned integer.*hint: run `mage plan`''; };
  uid-below = { expr = of { uid = -1; }; error = "environments.a.uid is -1"; };
  node = { expr = (typed (plan // { environments.a = removeAttrs environment [ "node" "uid" ]; })).environments.a; error = "environments.a.node is missing; environments.a.uid is missing"; };
  source = { expr = of { source = "somewhere"; }; error = ''environments.a.source is "somewhere", which is not of type set''; };
  source-unlocked = { expr = of { source = { type = "git"; }; }; error = "environments.a.source.narHash is missing"; };
  keys = { expr = of { authorizedKeys = [ 1 ]; }; error = "environments.a.authorizedKeys is a list, which is not of type list of strings"; };
  user-name = { expr = of { hostenv = environment.hostenv // { userName = 1; }; }; error = "environments.a.hostenv.userName is 1"; };
  a-node = { expr = (typed (plan // { nodes.n1 = [ ]; })).nodes.n1; error = "nodes.n1 is a list, which is not of type set of sets"; };
  port = { expr = connected { sshPort = 70000; }; error = "nodeConnections.n1.sshPort is 70000, which is not of type port"; };
  older = {
    expr = (typed (plan // { nodeConnections.n1.hostname = "n1"; })).nodeConnections.n1;
    error = "nodeConnections.n1.autoRollback is missing; nodeConnections.n1.magicRollback is missing; nodeConnections.n1.remoteBuild is missing; nodeConnections.n1.system is missing; nodeConnections.n1.tempPath is missing.*hint: run `mage plan`";
  };
  profile = { expr = (typed (plan // { profiles.a.profileLink = 1; })).profiles.a; error = "profiles.a.profileLink is 1, which is not of type string; profiles.a.tempPath is missing"; };
  no-profiles = { expr = (typed (removeAttrs plan [ "profiles" ])).profiles; error = "profiles is null, which is not of type set.*hint: run `mage plan`"; };
  no-connections = { expr = (typed (removeAttrs plan [ "nodeConnections" ])).nodeConnections; error = "nodeConnections is null, which is not of type set"; };
  no-user = { expr = (typed (removeAttrs plan [ "deployUser" ])).deployUser; error = "deployUser is null, which is not of type string"; };
}
