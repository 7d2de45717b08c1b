"customer"
