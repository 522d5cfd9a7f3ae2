preload_app = True
workers = 3
