import sys

from injector.program import main

sys.exit(main())
