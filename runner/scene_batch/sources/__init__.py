"""Where photos come from: directories, buckets, lists; and which of them a shard takes."""
