require('./launch')('post');
