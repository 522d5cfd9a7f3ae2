"""Looks up two orders and gets them."""

print("10:00:00.000001 parent   100 prepare", flush=True)
print("10:00:00.000002 parent   100 prepare: done, over tcp", flush=True)
print("10:00:00.000003 parent   100 look up 1", flush=True)
print("10:00:00.000004 parent   100 look up 1: order 1, session 7", flush=True)
