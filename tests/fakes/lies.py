"""Says that it has committed a write which it never made."""

print("10:00:00.000001 parent   100 insert 1001", flush=True)
print("10:00:00.000002 parent   100 insert 1001: done", flush=True)
print("10:00:00.000003 parent   100 commit", flush=True)
print("10:00:00.000004 parent   100 commit: done", flush=True)
