import psutil


def command_of(process: psutil.Process) -> list[str]:
    """As it was started; empty for one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
