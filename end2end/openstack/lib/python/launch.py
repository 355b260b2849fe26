"""Runs a console script of OpenStack, or serves a WSGI application, by name.

    launch.py nova-compute --config-file nova.conf
    launch.py wsgi keystone.server.wsgi:initialize_public_application 5000

Debian's python3-* packages have the services' modules without the scripts: those come in packages that set up a host. So the
entry points are looked up in the packages' metadata.
"""
import importlib
import os
import sys
from importlib import metadata


def main():
    name = sys.argv[1]
    if name == 'wsgi':
        import waitress
        module, factory = sys.argv[2].split(':')
        port = int(sys.argv[3])
        sys.argv = [module]
        application = getattr(importlib.import_module(module), factory)()
        waitress.serve(application, host='127.0.0.1', port=port, threads=8, ident=None)
        return 0
    sys.argv = sys.argv[1:]
    function = next(iter(metadata.entry_points(group='console_scripts', name=name))).load()
    if name == 'nova-compute':
        # Nova takes drivers from below nova.virt only.
        import nova.virt
        nova.virt.__path__.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'novavirt'))
    return function()


if __name__ == '__main__':
    sys.exit(main())
