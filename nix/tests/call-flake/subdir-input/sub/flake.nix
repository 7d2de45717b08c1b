{
  outputs =
    { self }:
    {
      word = "${self}";
    };
}
