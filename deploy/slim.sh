#!/bin/sh
# deploy/slim.sh ENVIRONMENT, run by the Dockerfiles: takes out what no command of scene-batch loads. That is the
# packages' tests, headers, Arrow's server (Flight) and its client of S3 (ours is obstore). doctor and verify run after it.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)
find "$packages" -depth -type d -name tests -exec rm -r {} +
rm -r "$packages"/pyarrow/include "$packages"/pyarrow/src
for unused in '*flight*' '*s3fs*' 'libarrow_s3*' '*.pyx' '*.pxd' '*.pxi'; do
    find "$packages"/pyarrow -type f -name "$unused" -delete
done
