{
  outputs =
    { self }:
    {
      path = "${self}";
    };
}
