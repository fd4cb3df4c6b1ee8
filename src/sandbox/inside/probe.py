# Tries from inside what the cage must prevent, and tells what it could do after all.
import socket

found = []


def must_fail(what, work):
    try:
        work()
    except (OSError, MemoryError):
        return
    found.append(what)


def fork():
    children = 0
    try:
        while children < 4 * order["processes"]:
            child = os.fork()
            if child == 0:
                import signal

                signal.pause()
            children += 1
            started.append(child)
    except OSError:
        pass
    for child in started:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return children


def grow():
    with open("/tmp/file", "wb") as file:
        for _ in range(64):
            file.write(bytes(order["limits"]["FSIZE"] // 16))
            file.flush()


# Before the filter, which would hide what the namespaces let through.
must_fail("reaches the network", lambda: socket.create_connection(("127.0.0.1", order["port"]), 1))
for path in order["paths"]:
    if os.path.lexists(path):
        found.append(f"sees {path}")
for folder in ("/", "/usr", "/dev"):
    must_fail(f"writes to {folder}", lambda: open(os.path.join(folder, "probe"), "w"))
if os.getpid() > 9:
    found.append("sees the processes of the machine")
confine(order["limits"])
tell({"confined": True})
must_fail("opens sockets", socket.socket)
must_fail("takes more memory than it may", lambda: bytearray(order["limits"]["AS"]))
must_fail("writes more than it may", grow)
started = []
children = fork()
if children >= order["processes"]:
    found.append(f"starts {children + 1} processes, where {order['processes']} are allowed")
if order["processes"] > 1 and children == 0:
    found.append("cannot start a process: others' processes are counted with its own (Linux before 5.14?)")
tell({"found": found})
