"""What cards prove to the cloud by themselves: messages of tags, and MACs over what they paid."""
