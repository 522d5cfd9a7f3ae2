preload_app = True
workers = 3
worker_class = "gthread"
threads = 4
