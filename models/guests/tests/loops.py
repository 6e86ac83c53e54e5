# lists innermost loops in the assembly containing a pattern, with op counts (without local.get/set/tee/const)
import sys,re,collections
path,pat=sys.argv[1],sys.argv[2]
show=len(sys.argv)>3
lines=open(path).read().split('\n')
stack=[];fn=''
for i,l in enumerate(lines):
    m=re.match(r'^([^\s.#][^:]*|"[^"]+"):',l)
    if m: fn=m.group(1); stack=[]
    t=l.split() or ['']
    if t[0]=='loop': stack.append(i)
    if t[0] in('end_loop',) and stack:
        s=stack.pop(); body=lines[s:i]
        if any(b.strip().startswith('loop') for b in body[1:]): continue
        if not any(pat in b for b in body): continue
        c=collections.Counter()
        for b in body:
            o=b.split() or ['']
            if not o[0] or o[0].startswith(('#','.')) or o[0].endswith(':'): continue
            k=o[0]
            if k=='call': k='call '+o[1].split('#')[0].strip()
            c[k]+=1
        real={k:v for k,v in c.items() if not k.startswith(('local.get','loop','block','end_block')) and '.const' not in k}
        mv=sum(v for k,v in real.items() if k.startswith(('local.')))
        print(fn[:110],'lines',s,i,'ops',sum(real.values())-mv,'moves',mv)
        if show:
            for k,v in sorted(real.items(),key=lambda x:-x[1]): print('   ',v,k)
