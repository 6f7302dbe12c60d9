"""Runs on MicroPython: the functions test_… of the modules that are named, from the folder of the first argument."""

import gc
import sys

sys.path.insert(0, sys.argv[1])
count = failed = 0
for table in sys.argv[2:]:
    module = __import__(table)
    for name in sorted(dir(module)):
        if name.startswith("test_"):
            count += 1
            gc.collect()
            try:
                getattr(module, name)()
            except Exception as error:
                failed += 1
                print(table, name)
                sys.print_exception(error, sys.stdout)
print(count - failed, "of", count)
sys.exit(1 if failed else 0)
