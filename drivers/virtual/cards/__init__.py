"""The card's side of each family: state machines from command bytes to answer bytes."""
