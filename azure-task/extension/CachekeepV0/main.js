require('./launch')('main');
