-- The light client beside run: a run's photos/s against `wrk -t1 -c24 -d30s -s benchmarks/load/photo.lua
-- http://127.0.0.1:8080/predict`, from the repository's folder, with `scene-batch serve --max-wait 60s`.
wrk.method = "POST"
wrk.body = io.open("samples/scenes/sea/sea-1.jpg", "rb"):read("*a")
wrk.headers["Content-Type"] = "image/jpeg"
