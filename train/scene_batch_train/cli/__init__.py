"""The commands of the train room, one small file each."""
